// SPDX-License-Identifier: GPL-2.0-or-later
// Opens one page in headless Chromium and does what lines on stdin say, each with one line of
// JSON as its answer: rows | text | problems | asked | fits WIDTH | shot FILE WIDTH | end.
//
// node page.js URL CHROMIUM [no-script]
import readline from "node:readline";
import { chromium } from "playwright-core";

const [url, executablePath, noScript] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const context = await browser.newContext({
  javaScriptEnabled: !noScript,
  viewport: { width: 800, height: 600 },
  colorScheme: "light",
});
const page = await context.newPage();
const problems = [];
const asked = new Set();
page.on("console", (m) => {
  if (["error", "warning"].includes(m.type())) problems.push(m.text());
});
page.on("pageerror", (e) => problems.push(String(e)));
page.on("requestfailed", (r) => problems.push(`${r.url()}: ${r.failure()?.errorText}`));
page.on("request", (r) => asked.add(`${r.method()} ${r.url()}`));
page.on("response", (r) => {
  if (r.status() !== 200) problems.push(`${r.url()}: ${r.status()}`);
});
if (!noScript) {
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) =>
      console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
  });
}
await page.goto(url);

const verbs = {
  rows: () => page.locator("tbody tr").allInnerTexts(),
  text: () => page.locator("body").innerText(),
  problems: () => problems,
  asked: () => [...asked],
  fits: async (width) => {
    await page.setViewportSize({ width: Number(width), height: 740 });
    return page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
  },
  shot: async (path, width) => {
    await page.setViewportSize({ width: Number(width), height: 100 });
    await page.screenshot({ path, fullPage: true });
    return path;
  },
};

// A page that just loads itself anew has nobody to ask.
const answer = async (verb, args) => {
  for (;;) {
    try {
      return await verbs[verb](...args);
    } catch (e) {
      if (!e.message.includes("context was destroyed")) throw e;
      await page.waitForLoadState();
    }
  }
};

console.log(JSON.stringify("open"));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [verb, ...args] = line.split(" ");
  if (verb === "end") break;
  console.log(JSON.stringify(await answer(verb, args)));
}
await browser.close();
