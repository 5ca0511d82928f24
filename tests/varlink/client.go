// SPDX-License-Identifier: GPL-2.0-or-later

// A client of Debian's varlink library, with the code that its generator has made of our
// interface definition. Says what it was told as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/varlink/go/varlink"
	"orgportreeve"
)

type said struct {
	Product     string
	Interfaces  []string
	Description string
	Leases      []orgportreeve.Lease
	Version     string
	Verdict     string
	Deleted     int64
	Error       string
}

func run(address string, port int64) (s said, err error) {
	var vendor, version, url string
	ctx := context.Background()
	c, err := varlink.NewConnection(ctx, address)

	if err != nil {
		return
	}
	defer c.Close()
	if err = c.GetInfo(ctx, &vendor, &s.Product, &version, &url, &s.Interfaces); err != nil {
		return
	}
	if s.Description, err = c.GetInterfaceDescription(ctx, "org.portreeve"); err != nil {
		return
	}
	if s.Leases, err = orgportreeve.List().Call(ctx, c, nil); err != nil {
		return
	}
	if s.Version, _, _, _, _, _, _, _, err = orgportreeve.Status().Call(ctx, c); err != nil {
		return
	}
	_, s.Verdict, _, _, _, _, _, err = orgportreeve.Explain().Call(ctx, c, "udp", port)
	if err != nil {
		return
	}
	if s.Deleted, _, err = orgportreeve.Delete().Call(ctx, c, nil, port, nil, nil, nil); err != nil {
		return
	}
	_, _, wrong := orgportreeve.Delete().Call(ctx, c, nil, port, nil, nil, nil)
	s.Error = fmt.Sprintf("%T", wrong)
	return
}

func main() {
	var port int64

	fmt.Sscan(os.Args[2], &port)
	s, err := run(os.Args[1], port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(s)
}
