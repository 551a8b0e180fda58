// Command vmtoolsd runs inside a container-backed guest in the place of VMware Tools.
package main

import (
	"log"
	"os"

	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/toolsd"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("vmtoolsd: ")
	if len(os.Args) == 2 && os.Args[1] == toolsd.HandArgument {
		os.Exit(toolsd.Hand(os.Stdin, os.Stdout))
	}
	log.Fatal(toolsd.Serve(tools.Socket))
}
