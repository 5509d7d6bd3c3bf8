// Command sops is a client of the conformance table: the package by which SOPS, and with it
// Flux, wraps the data key of a file with a key of Azure Key Vault.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/getsops/sops/v3/azkv"
)

const key = "https://mykeyvault.vault.azure.net/keys/sops/"

func main() {
	var wrapped []byte
	var version string
	dataKey := []byte("the data key of a file, 32 byte ")
	for _, operation := range []struct {
		name string
		do   func() error
	}{
		{"encrypt", func() error { // with the latest version, as a key without one in .sops.yaml
			master, err := azkv.NewMasterKeyWithOptionalVersion("https://mykeyvault.vault.azure.net", "sops", "")
			if err != nil {
				return err
			}
			if err := master.Encrypt(dataKey); err != nil {
				return err
			}
			wrapped, version = master.EncryptedDataKey(), master.Version
			return nil
		}},
		{"decrypt", func() error {
			master, err := azkv.NewMasterKeyFromURL(key + version)
			if err != nil {
				return err
			}
			master.SetEncryptedDataKey(wrapped)
			opened, err := master.Decrypt()
			if err == nil && !bytes.Equal(opened, dataKey) {
				err = fmt.Errorf("found %q", opened)
			}
			return err
		}},
		{"wrong_version", func() error {
			master, err := azkv.NewMasterKeyFromURL(key + "00000000000000000000000000000000")
			if err != nil {
				return err
			}
			master.SetEncryptedDataKey(wrapped)
			if _, err := master.Decrypt(); err == nil || !strings.Contains(err.Error(), "KeyNotFound") {
				return fmt.Errorf("expected KeyNotFound, found %w", err)
			}
			return nil
		}},
	} {
		if err := operation.do(); err != nil {
			fmt.Println(operation.name, "failed", strings.Join(strings.Fields(err.Error()), " "))
			os.Exit(1)
		}
		fmt.Println(operation.name, "ok")
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
