package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Where roots keep their states, and so whom a root reads.
var stateFile = regexp.MustCompile(`\.\./state/([a-z0-9-]+)\.tfstate`)

// A key of a VPN tunnel, as the roots name it.
var vpnKey = regexp.MustCompile(`var\.vpn_keys\[\\"([^"\\]+)\\"\]`)

// exercise takes a copy of all roots in dir up and down.
func exercise(ctx context.Context, tool, reattach, dir string) error {
	work, err := os.MkdirTemp("", "tofu-interop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		return err
	}
	roots, err := ordered(work)
	if err != nil {
		return err
	}
	call := func(root string, words ...string) error {
		command := exec.CommandContext(ctx, tool, words...)
		command.Dir = filepath.Join(work, root)
		command.Env = append(os.Environ(), "TF_REATTACH_PROVIDERS="+reattach, "TF_CLI_CONFIG_FILE="+os.DevNull,
			"CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%s in %s: %w\n%s", strings.Join(words, " "), root, err, tail(out))
		}
		return nil
	}
	start := time.Now()
	for _, root := range roots {
		for _, words := range [][]string{
			{"init", "-input=false", "-no-color"},
			{"validate", "-no-color"},
			{"apply", "-auto-approve", "-input=false", "-no-color"},
			// 2 would mean that it wants to change what it just made.
			{"plan", "-detailed-exitcode", "-input=false", "-no-color"},
		} {
			if err := call(root, words...); err != nil {
				return err
			}
		}
	}
	for i := len(roots) - 1; i >= 0; i-- {
		if err := call(roots[i], "destroy", "-auto-approve", "-input=false", "-no-color"); err != nil {
			return err
		}
		if left, err := managed(filepath.Join(work, "state", roots[i]+".tfstate")); err != nil || left > 0 {
			return errors.Join(err, fmt.Errorf("destroy left %d resources of %s", left, roots[i]))
		}
	}
	fmt.Printf("%s: %d roots applied, planned empty and destroyed in %s\n", dir, len(roots), time.Since(start).Round(time.Second))
	return nil
}

// ordered gives the roots so that each comes after those whose states it reads, and answers their questions.
func ordered(work string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(work, "*", "versions.tf.json"))
	if err != nil || len(found) == 0 {
		return nil, errors.Join(err, errors.New("there is no root in it"))
	}
	reads := map[string]map[string]bool{}
	for _, path := range found {
		root := filepath.Base(filepath.Dir(path))
		text, err := whole(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		reads[root] = map[string]bool{}
		for _, match := range stateFile.FindAllStringSubmatch(text, -1) {
			if match[1] != root {
				reads[root][match[1]] = true
			}
		}
		if err := answer(filepath.Dir(path), text); err != nil {
			return nil, err
		}
	}
	var order []string
	for len(reads) > 0 {
		before := len(order)
		for _, root := range sortedKeys(reads) {
			ready := true
			for other := range reads[root] {
				_, open := reads[other]
				ready = ready && !open
			}
			if ready {
				order = append(order, root)
			}
		}
		for _, root := range order[before:] {
			delete(reads, root)
		}
		if len(order) == before {
			return nil, fmt.Errorf("these roots read each other's states: %v", sortedKeys(reads))
		}
	}
	return order, nil
}

func whole(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "*.tf.json"))
	var text strings.Builder
	for _, file := range files {
		part, failed := os.ReadFile(file)
		err = errors.Join(err, failed)
		text.Write(part)
	}
	return text.String(), err
}

// answer gives every variable of a root a value of its type.
func answer(root, text string) error {
	raw, err := os.ReadFile(filepath.Join(root, "variables.tf.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var declared struct {
		Variable map[string]struct {
			Type    string `json:"type"`
			Default any    `json:"default"`
		} `json:"variable"`
	}
	if err := errors.Join(err, json.Unmarshal(raw, &declared)); err != nil {
		return err
	}
	values := map[string]any{}
	for name, variable := range declared.Variable {
		switch {
		case variable.Default != nil:
		case variable.Type == "list(string)":
			values[name] = []string{"first", "second", "third"}
		case variable.Type == "map(string)":
			keys := map[string]string{}
			for _, match := range vpnKey.FindAllStringSubmatch(text, -1) {
				keys[match[1]] = "interop"
			}
			values[name] = keys
		default:
			values[name] = "interop"
		}
	}
	out, err := json.Marshal(values)
	return errors.Join(err, os.WriteFile(filepath.Join(root, "interop.auto.tfvars.json"), out, 0o600))
}

// managed counts what a state still holds.
func managed(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var state struct {
		Resources []struct {
			Mode string `json:"mode"`
		} `json:"resources"`
	}
	err = json.Unmarshal(raw, &state)
	count := 0
	for _, resource := range state.Resources {
		if resource.Mode == "managed" {
			count++
		}
	}
	return count, err
}

func tail(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
