package keyvault

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/cloud"
)

// What every answer says about the service.
const (
	region         = "northeurope"
	serviceVersion = "1.9.2876.1"
)

// answer writes a body as JSON, or none for a nil one, with the headers that Key
// Vault sends. Seen: azure-sdk-for-js recordings.
func answer(w http.ResponseWriter, r *http.Request, status int, body any) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000;includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ms-Keyvault-Region", region)
	h.Set("X-Ms-Keyvault-Service-Version", serviceVersion)
	h.Set("X-Ms-Keyvault-Network-Info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;")
	h.Set("X-Ms-Request-Id", uuid.NewString())
	if id := r.Header.Get("X-Ms-Client-Request-Id"); id != "" {
		h.Set("X-Ms-Client-Request-Id", id)
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone: there is nobody to tell
}

// challenge tells a client where to get a token and for what. Its exact form
// matters: clients split it at blanks and commas.
func challenge(w http.ResponseWriter, c cloud.Cloud, tenant string) {
	w.Header().Set("WWW-Authenticate", `Bearer authorization="`+c.Authority()+tenant+`", resource="https://`+c.Vault+`"`)
}
