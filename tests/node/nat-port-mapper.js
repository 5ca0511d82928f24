// SPDX-License-Identifier: GPL-2.0-or-later
// npm @achingbrain/nat-port-mapper (js-libp2p), which knows IGD:2 only: finds the gateway and
// maps. node nat-port-mapper.js PORT ADDRESS
import { upnpNat } from "@achingbrain/nat-port-mapper";

const [port, address] = process.argv.slice(2);
const signal = AbortSignal.timeout(15000);
for await (const gateway of upnpNat().findGateways({ signal })) {
  const mapping = await gateway.map(Number(port), address, {
    protocol: "UDP", description: "nat-port-mapper", autoRefresh: false, signal,
  });
  console.log(JSON.stringify({ address: await gateway.externalIp({ signal }), mapping }));
  break;
}
process.exit(0);
