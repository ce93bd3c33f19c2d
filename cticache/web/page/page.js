"use strict";
// Keeps the page up to date: asks for it again, and takes over what has changed. What is shown is made in one place,
// on the server; no text is ever made into HTML here.

const every = 1000 * Number(document.body.dataset.every);
const patience = 1000 * Number(document.body.dataset.patience);
const said = document.getElementById("said");
const pause = document.getElementById("pause");
const local = document.getElementById("local");
const filter = document.getElementById("filter");
const asks = document.getElementById("asks");
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
let gist = document.getElementById("attention").dataset.gist;
let updated = new Date();
let lost = false;
let timer = 0;

/** A URL of the service, without the credentials that the page's own may have: fetch would refuse them. */
function at(path) {
  return new URL(path, location.origin);
}

/** This page, without what is only asked for on demand. */
function here() {
  const url = at(location.pathname + location.search);
  url.searchParams.delete("leases");
  return url;
}

/** The page as it is now; Error with a sentence where it cannot be had. */
async function fetched(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, {...options, signal: AbortSignal.timeout(every + patience)});
  } catch {
    throw new Error("The service does not answer.");
  }
  if (!answer.ok) {
    const {detail} = await answer.json().catch(() => ({})); // a proxy may have answered
    throw new Error(detail ?? `The answer is ${answer.status}.`);
  }
  return answer;
}

async function asked(url, options) {
  return new DOMParser().parseFromString(await (await fetched(url, options)).text(), "text/html");
}

/** Make an element what another one is. What is alike is kept as it is, with its focus and what is open in it. */
function become(old, fresh) {
  for (const {name} of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, nth) => {
    const there = old.childNodes[nth];
    if (!there) old.append(document.importNode(node, true));
    else if (there.nodeName !== node.nodeName || there.id !== node.id) there.replaceWith(document.importNode(node, true));
    else if (node.nodeType !== Node.TEXT_NODE) become(there, node);
    else if (there.textContent !== node.textContent) there.textContent = node.textContent;
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

/** Take over these parts of a page. */
function take(page, parts) {
  const link = document.activeElement.getAttribute("href");
  for (const part of parts) become(part, page.getElementById(part.id));
  if (link && document.activeElement.getAttribute("href") !== link) { // its row has moved: the focus goes with it
    [...document.links].find((each) => each.getAttribute("href") === link)?.focus({preventScroll: true});
  }
  for (const button of document.querySelectorAll("button.release")) button.hidden = false;
  showTimes();
}

function showTimes() {
  if (!pressed(local)) return;
  for (const time of document.querySelectorAll("time")) time.textContent = new Date(time.dateTime).toLocaleString();
}

function say(text) {
  if (said.textContent !== text) said.textContent = text;
}

async function update() {
  clearTimeout(timer);
  try {
    const page = await asked(here());
    take(page, document.querySelectorAll("[data-live]"));
    document.title = page.title;
    updated = new Date();
    const now = document.getElementById("attention").dataset.gist;
    if (lost || now !== gist) say(now);
    [gist, lost] = [now, false];
  } catch (error) {
    lost = true;
    const time = updated.toISOString().slice(11, 19);
    say(`This page is of ${time}Z and no longer up to date: ${error.message} It is asked again every ${every / 1000} s.`);
  }
  wait();
}

function wait(ms = every) {
  clearTimeout(timer);
  if (!pressed(pause) && !document.hidden) timer = setTimeout(update, ms);
}

/** Have the URL say what a form asks for, so that it can be kept and sent on. */
function go(form, with_ = {}) {
  const query = new URLSearchParams({...Object.fromEntries(new URLSearchParams(location.search)), ...with_});
  for (const [name, text] of new FormData(form)) query.set(name, text);
  history.replaceState(null, "", `?${query}`);
}

async function part(id, url, options) {
  try {
    take(await asked(url, options), [document.getElementById(id)]);
  } catch (error) {
    say(error.message);
  }
}

function listed() {
  return part("held", at(location.pathname + location.search));
}

filter.addEventListener("input", () => {
  go(filter);
  clearTimeout(timer);
  timer = setTimeout(update, 200); // of one that is typed only what it comes to; during a pause, too
});
filter.addEventListener("submit", (event) => {
  event.preventDefault();
  go(filter);
  update();
});
document.getElementById("asking").addEventListener("submit", (event) => {
  event.preventDefault();
  part("found", here(), {method: "POST", body: new URLSearchParams(new FormData(event.target))});
});
document.getElementById("listing").addEventListener("submit", (event) => {
  event.preventDefault();
  go(event.target);
  listed();
});
document.getElementById("held").addEventListener("click", (event) => {
  const button = event.target.closest("button.release");
  if (!button) return;
  const {dnis, pool, token} = button.dataset;
  document.getElementById("asks-what").textContent = `Release ${dnis} of pool ${pool}?`;
  asks.returnValue = "";
  asks.onclose = async () => {
    if (asks.returnValue !== "release") return;
    asks.returnValue = ""; // a busy browser may tell of the question before when this one is over, too
    const headers = {"Content-Type": "application/json"};
    try {
      await fetched(at("/cticache/release"), {method: "POST", headers, body: JSON.stringify({pool, dnis, token})});
      say(`${dnis} is released.`);
    } catch (error) {
      say(error.message);
    }
    listed();
  };
  asks.showModal();
});
for (const [button, then] of [[pause, () => (pressed(pause) ? clearTimeout(timer) : update())], [local, update]]) {
  button.hidden = false;
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!pressed(button)));
    then();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog")) return;
  event.preventDefault();
  filter.elements.filter.focus();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : wait(0)));
for (const button of document.querySelectorAll("button.release")) button.hidden = false;
wait();
