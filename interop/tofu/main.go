// Takes emitted roots through a real tofu or terraform, offline: validate, apply, a second plan that must be empty,
// destroy that must leave nothing.
//
// The providers are stand-ins: they have the real schemas, speak the published plugin protocol and make nothing. So
// this shows that the files parse, that types and references fit, that the order of the roots works out, that nothing
// changes by itself and that everything can be taken down. It does not show that a cloud accepts anything.
//
// Usage: tofu-interop SCHEMA.json.gz DIR...
//
// SCHEMA is crates/core/tofu/tests/data/tf-schema.json.gz; each DIR is what `topology emit --out` wrote and is not
// touched. The tool is $TOFU, or `tofu`, or `terraform`. Ends with 0 when all is well, 1 when not, 3 without a tool.
package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

// Registries whose addresses the tools put before a source.
var registries = []string{"registry.terraform.io", "registry.opentofu.org"}

var errNoTool = errors.New("neither tofu nor terraform is installed: set TOFU, or install one")

func main() {
	err := run()
	switch {
	case errors.Is(err, errNoTool):
		fmt.Fprintln(os.Stderr, "tofu-interop: skipped:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "tofu-interop:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 3 {
		return errors.New("usage: tofu-interop SCHEMA.json.gz DIR...")
	}
	tool, err := findTool()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reattach, err := serve(ctx, os.Args[1])
	if err != nil {
		return err
	}
	for _, dir := range os.Args[2:] {
		if err := exercise(ctx, tool, reattach, dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

func findTool() (string, error) {
	for _, name := range []string{os.Getenv("TOFU"), "tofu", "terraform"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path, nil
		}
	}
	return "", errNoTool
}

// serve starts a stand-in for every provider of the schema, and gives the value of TF_REATTACH_PROVIDERS.
func serve(ctx context.Context, path string) (string, error) {
	all, err := read(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	reattach := map[string]any{}
	for name, one := range all.Providers {
		server := newStandIn(one)
		configs := make(chan *plugin.ReattachConfig, 1)
		failed := make(chan error, 1)
		go func() {
			factory := func() tfprotov6.ProviderServer { return server }
			debug := tf6server.WithDebug(ctx, configs, make(chan struct{}))
			failed <- tf6server.Serve(registries[0]+"/"+one.Source, factory, debug)
		}()
		select {
		case config := <-configs:
			for _, registry := range registries {
				reattach[registry+"/"+one.Source] = map[string]any{
					"Protocol": "grpc", "ProtocolVersion": 6, "Pid": config.Pid, "Test": true,
					"Addr": map[string]string{"Network": config.Addr.Network(), "String": config.Addr.String()},
				}
			}
		case err := <-failed:
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	text, err := json.Marshal(reattach)
	return string(text), err
}

func read(path string) (document, error) {
	var all document
	file, err := os.Open(path)
	if err != nil {
		return all, err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return all, err
	}
	return all, json.NewDecoder(packed).Decode(&all)
}
