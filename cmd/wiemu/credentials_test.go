package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The examples of docs/credentials.md run, with a program of ours in place of ./my-app.
func TestCredentialsPage(t *testing.T) {
	c := newCommand(t)
	c.env = append(c.env, "PATH="+filepath.Dir(c.path)+string(os.PathListSeparator)+linkPrograms(t, workloads...)+string(os.PathListSeparator)+os.Getenv("PATH"))
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "credentials.md"))
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```(yaml|sh)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if block[1] == "yaml" {
			writeCertificate(t, filepath.Join(c.dir, "billing.pem"))
			if err := os.WriteFile(filepath.Join(c.dir, "wiemu.yaml"), []byte(block[2]), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for line := range strings.Lines(block[2]) {
			line = strings.Replace(strings.TrimSpace(line), "./my-app", "wiemu-workload secret get --credential environment mykeyvault mysecret", 1)
			if out := c.output("sh", "-c", line); !strings.Contains(out, `"value":"the secret of wiemu"`) {
				t.Errorf("%s: %s", line, out)
			}
			ran++
		}
	}
	if ran < 3 {
		t.Errorf("%d examples ran; want the three of the page", ran)
	}
}

// writeCertificate writes a certificate without its private key.
func writeCertificate(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
