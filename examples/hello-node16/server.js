// A small web app on Express 4: answers with a greeting and what it knows about its request.
const express = require("express");

const port = Number(process.env.PORT || 8080);
const app = express();
app.disable("x-powered-by");

app.get("*", (request, response) => {
  response.json({ message: "Hello from an older Node.js", path: request.path, mode: process.env.MODE || "development" });
});

const server = app.listen(port, () => console.log(`listening on port ${port}`));

// SIGTERM means: finish what is running and end. Connections that idle would hold the server until they time out.
process.on("SIGTERM", () => {
  server.close();
  setTimeout(() => process.exit(0), 1000);
});
