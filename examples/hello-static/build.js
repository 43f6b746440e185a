// Makes dist/ of the pages in Markdown: each becomes a page of HTML.
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { marked } from "marked";

const page = (title, body) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
  </head>
  <body>
${body}  </body>
</html>
`;

await mkdir("dist", { recursive: true });
for (const file of await readdir("pages")) {
  const text = await readFile(join("pages", file), "utf8");
  const title = text.match(/^# (.*)$/m)?.[1] ?? basename(file, ".md");
  await writeFile(join("dist", `${basename(file, ".md")}.html`), page(title, marked.parse(text)));
}
