"""The service in processes of its own, under load, while one fault at a time befalls it or what it stands on."""
