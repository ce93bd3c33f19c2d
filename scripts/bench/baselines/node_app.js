// The 2014 design: Express and node-redis, two round trips a POST. A list of numbers goes round and round; a call is
// one string that expires. node-redis sends the commands of one tick together.
//
// Environment: PORT, REDIS_URL, PREFIX, BENCH_USER, BENCH_PASSWORD, TTL_MS.
'use strict';

const { timingSafeEqual } = require('node:crypto');
const express = require('express');
const { createClient } = require('redis');

const { PORT, REDIS_URL, PREFIX, BENCH_USER, BENCH_PASSWORD, TTL_MS } = process.env;
const EXPECTED = Buffer.from(`${BENCH_USER}:${BENCH_PASSWORD}`);
const NUMBERS = `${PREFIX}:numbers`;

const client = createClient({ url: REDIS_URL });
const app = express();

app.use((req, res, next) => {
  const [scheme, token] = (req.headers.authorization || '').split(' ');
  const given = Buffer.from(token || '', 'base64');
  if (scheme === 'Basic' && given.length === EXPECTED.length && timingSafeEqual(given, EXPECTED)) {
    next();
  } else {
    res.set('WWW-Authenticate', 'Basic').sendStatus(401);
  }
});
app.use(express.json());

app.post('/cticache/DNIS-ANI', async (req, res) => {
  const { ani, value, ttl } = req.body;
  const dnis = await client.rPopLPush(NUMBERS, NUMBERS);
  await client.setEx(`${PREFIX}:${dnis}:${ani}`, ttl || Number(TTL_MS) / 1000, JSON.stringify(value));
  res.status(201).location(`/cticache/DNIS-ANI/${dnis}:${ani}`).json({ dnis, ani, value });
});

function answer(res, text) {
  if (text === null) {
    res.status(404).json({ error: 'not_found' });
  } else {
    res.json({ value: JSON.parse(text) });
  }
}

app.get('/cticache/DNIS-ANI/:key', async (req, res) => {
  answer(res, await client.get(`${PREFIX}:${req.params.key}`));
});

app.delete('/cticache/DNIS-ANI/:key', async (req, res) => {
  answer(res, await client.getDel(`${PREFIX}:${req.params.key}`));
});

client.connect().then(() => app.listen(Number(PORT), '127.0.0.1', 4096));
