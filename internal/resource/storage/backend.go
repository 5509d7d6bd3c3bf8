// Package storage answers as Azure Storage does for callers with an access token. It
// checks the token, the roles of its owner and user delegation SAS, takes batches apart
// and refuses in the words of the services. What accounts hold is stored by a [Backend].
package storage

import "net/http"

// Service is one of the services of an account, and a label of its hosts.
type Service string

// The services.
const (
	Blob  Service = "blob"
	Queue Service = "queue"
	Table Service = "table"
	DFS   Service = "dfs"
	File  Service = "file"
)

// Target is what a request is about. Names are as the client means them: unescaped, in
// their own case, with doubled slashes.
type Target struct {
	Account   string
	Service   Service
	Container string // container, queue or table; "" for the account
	Name      string // of the blob, or what follows a queue, such as messages/ID; "" for none
	Snapshot  string // the parameter snapshot; "" for none

	// Source is what the header x-ms-copy-source names, in this or another account; the
	// caller may read it. If nil, the request has no such header.
	Source *Target
}

// Backend stores what accounts hold and answers in the words of the services.
type Backend interface {
	// Open prepares an account. It is called before the first request for the account: for
	// those of wiemu.yaml while the lab starts, for others when they are added. It is
	// idempotent.
	Open(account string) error

	// Drop forgets an account with all that it holds. It is called after the last request for it.
	Drop(account string)

	// Serve answers a request that is allowed. In it is no credential: Authorization and
	// the parameters of a SAS are taken out of header, URL, RequestURI and
	// x-ms-copy-source; rscc and the others that override headers of the answer are left.
	//
	// The body has not been read yet and is read as it arrives: while Read waits for the
	// client, the lab clock may move on, so read it before taking the time or a lock.
	// ContentLength is known, and not above MaxBody, for every PUT and POST; a body that
	// is shorter than it ends with io.ErrUnexpectedEOF. What is not read is left to the
	// server.
	//
	// x-ms-request-id, x-ms-version, x-ms-client-request-id, Server and Date (lab time) are
	// in the header of the answer already. Requests with HEAD may be answered as with GET.
	// Errors are written with WriteError: the journal takes its code from x-ms-error-code,
	// and what else it should say from Explain(meaning, remedy string), which w may have.
	Serve(w http.ResponseWriter, r *http.Request, t Target)
}

// MaxBody is the most bytes that the body of a request may have.
const MaxBody = 256 << 20
