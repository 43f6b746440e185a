// A small web app on Express: answers with a greeting and what it knows about its request.
import express from "express";

const port = Number(process.env.PORT ?? 8080);
const app = express();
app.disable("x-powered-by");

app.get("/{*path}", (request, response) => {
  response.json({ message: "Hello from Node.js", path: request.path, mode: process.env.MODE ?? "development" });
});

const server = app.listen(port, () => console.log(`listening on port ${port}`));

// SIGTERM means: finish what is running and end.
process.on("SIGTERM", () => {
  server.close(() => {
    console.log("stopped");
    process.exit(0);
  });
  server.closeIdleConnections();
});
