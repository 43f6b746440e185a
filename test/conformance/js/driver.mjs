// Calls App Runner by the AWS SDK for JavaScript: a call is a line of JSON on the input, its answer a line on the output.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import * as sdk from "@aws-sdk/client-apprunner";

const { version } = createRequire(import.meta.url)("@aws-sdk/client-apprunner/package.json");

const client = new sdk.AppRunnerClient({ endpoint: process.env.APPRUNNER_ENDPOINT, maxAttempts: 1 });

const write = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

function plain(value) {
  if (value instanceof Date) return value.getTime() / 1000;
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

async function call(action, input) {
  const Command = sdk[action + "Command"];
  if (!Command) return { error: { Code: "ClientSide", Message: `the client has no ${action}Command`, Status: 0 } };
  try {
    const { $metadata, ...output } = await client.send(new Command(input));
    return { output: plain(output) };
  } catch (error) {
    const status = error.$metadata?.httpStatusCode;
    const code = status ? error.name : error.code || error.errno ? "NoAnswer" : "ClientSide";
    return { error: { Code: code, Message: String(error.message), Status: status ?? 0 } };
  }
}

write({ version });
for await (const line of createInterface({ input: process.stdin })) {
  const { action, input } = JSON.parse(line);
  write(await call(action, input));
}
