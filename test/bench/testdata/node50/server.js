// Answers with the version that stands in the next line, which the benchmark changes.
const version = "version 0";

const express = require("express");

const app = express();
app.get("/", (request, response) => response.type("text").send(version));
const server = app.listen(process.env.PORT ?? 8080);
process.on("SIGTERM", () => server.close(() => process.exit(0)));
