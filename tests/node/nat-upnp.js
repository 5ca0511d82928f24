// SPDX-License-Identifier: GPL-2.0-or-later
// npm nat-upnp, which knows IGD:1 only: the external address, a mapping, the list, and with
// "unmap" its end. node nat-upnp.js map|unmap PORT
import { promisify } from "node:util";
import nat from "nat-upnp";

const client = nat.createClient();
const [verb, port] = process.argv.slice(2);
const call = (name, ...args) => promisify(client[name].bind(client))(...args);
try {
  if (verb === "map") {
    await call("portMapping", {
      public: Number(port), private: Number(port), protocol: "udp", ttl: 600,
      description: "nat-upnp",
    });
    console.log(JSON.stringify({
      address: await call("externalIp"),
      mappings: await call("getMappings"),
    }));
  } else {
    await call("portUnmapping", { public: Number(port), protocol: "udp" });
    console.log(JSON.stringify({ mappings: await call("getMappings") }));
  }
} finally {
  client.close();
}
