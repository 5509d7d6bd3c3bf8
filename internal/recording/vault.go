package recording

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

// What clients send to key vaults. The values of secrets get ordinals, as all secrets do. A
// vault would refuse an ordinal where it expects a key, a certificate or bytes to encrypt:
// these have stand-ins, which are other ones of the same kind. With [Options].Keys they are
// kept as they are.

var (
	usesKey     = lazyregexp.New(`(?i)^/+keys/+[^/]+(?:/+[^/]*)?/+(encrypt|decrypt|wrapkey|unwrapkey|sign|verify)/*$`)
	importsKey  = lazyregexp.New(`(?i)^/+keys/+[^/]+/*$`)
	importsCert = lazyregexp.New(`(?i)^/+certificates/+[^/]+/+import/*$`)
)

// vaultBody replaces what is secret in the body of a request to a vault. r.mu is held.
func (r *Recorder) vaultBody(method, path, text string) string {
	sent := members(text)
	if sent == nil {
		return text
	}
	switch use := usesKey().FindStringSubmatch(path); {
	case use != nil:
		return r.keyUse(strings.ToLower(use[1]), text, sent)
	case method == "PUT" && importsKey().MatchString(path) && sent["key"] != nil:
		return r.standIn(text, sent, "key", func() (any, error) {
			other, err := r.standIns.JWK(sent["key"])
			return json.RawMessage(other), err
		})
	case importsCert().MatchString(path):
		var value, password string
		_ = json.Unmarshal(sent["value"], &value) // what is no text is refused
		_ = json.Unmarshal(sent["pwd"], &password)
		if !r.opts.Keys {
			delete(sent, "pwd")
		}
		inPEM := strings.Contains(value, "-----BEGIN ") || bytes.Contains(sent["policy"], []byte("x-pem-file"))
		return r.standIn(text, sent, "value", func() (any, error) { return r.standIns.Certificate(value, password, inPEM) })
	}
	return r.secretValue(text, sent)
}

// secretMembers are those of bodies to a vault that are secret or say how these are read.
var secretMembers = []string{"key", "policy", "pwd", "value"}

// members are those of a JSON object, with secretMembers as they are spelled here: a vault
// does not heed case, and takes the last of several. It is nil for what is no object.
func members(text string) map[string]json.RawMessage {
	decoder := json.NewDecoder(strings.NewReader(text))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil
	}
	all := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		var value json.RawMessage
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return nil
		}
		if i := slices.IndexFunc(secretMembers, func(known string) bool { return strings.EqualFold(known, name) }); i >= 0 {
			name = secretMembers[i]
		}
		all[name] = value
	}
	return all
}

// standIn replaces a member by another one of its kind, or if there is none, because the
// vault refuses it, by a text that it refuses, too.
func (r *Recorder) standIn(text string, sent map[string]json.RawMessage, name string, make func() (any, error)) string {
	if r.opts.Keys {
		return text
	}
	other, err := make()
	if err != nil && bytes.Contains(sent[name], []byte("-----BEGIN ")) {
		other = "-----BEGIN NOTHING-----"
	} else if err != nil {
		other = "nothing!"
	}
	if sent[name], err = json.Marshal(other); err != nil {
		return "{}"
	}
	return marshal(sent, "{}")
}

// keyUse replaces what is encrypted. Digests are no secrets, and what a key has made is
// called as it was when the vault answered it.
func (r *Recorder) keyUse(use, text string, sent map[string]json.RawMessage) string {
	var value string
	if json.Unmarshal(sent["value"], &value) != nil || value == "" || use == "sign" {
		return text
	}
	known := r.names.isSecret(value)
	switch {
	case use != "encrypt" && use != "wrapkey" && !known:
		return text
	case use != "encrypt" && use != "wrapkey":
		sent["value"], _ = json.Marshal(r.names.secret(value)) // a string always marshals
	default:
		// The name is given here, because the value comes back when it is decrypted.
		name := r.names.secret(value)
		if r.opts.Keys {
			return text
		}
		sent["value"], _ = json.Marshal(sameLength(name, value))
	}
	return marshal(sent, text)
}

// sameLength returns base64url that decodes to as many bytes as another one; what is not
// base64url stays so.
func sameLength(name, value string) string {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return "not base64url!"
	}
	var other []byte
	for n := 0; len(other) < len(data); n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, n))
		other = append(other, sum[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(other[:len(data)])
}

func marshal(sent map[string]json.RawMessage, otherwise string) string {
	text, err := json.Marshal(sent)
	if err != nil {
		return otherwise
	}
	return string(text)
}

// madeByVault are the members of a vault's answers that are different for every key.
var madeByVault = map[string]bool{"n": true, "x": true, "y": true, "cer": true, "csr": true, "x5t": true}

// shareVault takes the files out of a vault's keys and certificates: a replay makes others of
// the same type, or with [Options].Keys has their content.
func (r *Recorder) shareVault(v *config.Vault) error {
	v.Keys, v.Certificates = maps.Clone(v.Keys), maps.Clone(v.Certificates)
	read := func(name string) ([]byte, error) { return os.ReadFile(file.In(filepath.Dir(r.file), name)) }
	share := func(data []byte) string {
		name := fmt.Sprintf("vault-%d.pem", len(r.vaultFiles)+1)
		r.vaultFiles[name] = string(data)
		return name
	}
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		k := v.Keys[name]
		if k.File == "" {
			continue
		}
		data, err := read(k.File)
		if err != nil {
			return fmt.Errorf("read key %s of vault %s for the recording: %w", name, v.Name, err)
		}
		if r.opts.Keys {
			k.File = share(data)
		} else if k.Type, k.Size, k.Curve, err = keyvault.KindOf(data, k.Type); err != nil {
			return fmt.Errorf("read key %s of vault %s for the recording: %w", name, v.Name, err)
		} else {
			k.File = ""
		}
		v.Keys[name] = k
	}
	for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
		c := v.Certificates[name]
		if c.File == "" {
			continue
		}
		data, err := read(c.File)
		c.ContentType = cmp.Or(c.ContentType, keyvault.ContentTypeOf(data))
		if err == nil && !r.opts.Keys {
			data, err = r.standIns.File(data, c.Password)
		} else if err == nil {
			data, err = keyvault.AsPEM(data, c.Password)
		}
		if err != nil {
			return fmt.Errorf("read certificate %s of vault %s for the recording: %w", name, v.Name, err)
		}
		c.File, c.Password = share(data), ""
		v.Certificates[name] = c
	}
	return nil
}

// writeVaultFiles writes the files that the vaults of a recording name, and refuses a
// recording that names others: a replay reads no file of the machine.
func (p *player) writeVaultFiles() error {
	for i, v := range p.recorded.State.Config.Vaults {
		named := map[string]string{}
		for name, k := range v.Keys {
			named["keys."+name] = k.File
		}
		for name, c := range v.Certificates {
			named["certificates."+name] = c.File
		}
		for _, field := range slices.Sorted(maps.Keys(named)) {
			if _, there := p.recorded.State.Files[named[field]]; named[field] != "" && !there {
				return fmt.Errorf("%s: state.config.vaults[%d].%s.file: expected a file of state.files, found %q", p.recorded.file, i, field, named[field])
			}
		}
	}
	for name, text := range p.recorded.State.Files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s: state.files: expected a path below the configuration's folder, found %q", p.recorded.file, name)
		}
		path := filepath.Join(p.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	return nil
}
