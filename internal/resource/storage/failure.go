package storage

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// refusal is an error with what the journal says of it.
type refusal struct {
	Error
	challenge       bool   // with WWW-Authenticate
	claims          string // of the challenge, if the token was revoked
	meaning, remedy string
}

// detail adds AuthenticationErrorDetail.
func (r *refusal) detail(text string) *refusal {
	r.Extra = append(r.Extra, Extra{"AuthenticationErrorDetail", text})
	return r
}

// The first versions of the REST API that know bearer tokens, and whose clients are sent to
// the token service. Source: "Authorize with Microsoft Entra ID", "Use OAuth access tokens
// for authentication" and "Bearer challenge".
const (
	bearerVersion    = "2017-11-09"
	challengeVersion = "2019-12-12"
)

const (
	seeChallenge = "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
	notAuthentic = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature."
)

// fail is the refusal with an error. Meaning and remedy are for the journal.
func fail(status int, code, message, meaning, remedy string, extra ...Extra) *refusal {
	return &refusal{Error: Error{status, code, message, extra}, meaning: meaning, remedy: remedy}
}

// unauthorized refuses a token, or that there is none, as the version of the request has it.
//
// Seen: the details of audience (azure-sdk-for-js, storage-blob, recordings of "bearer token
// challenge should work", 2023) and issuer (azure-sdk-for-java#24926); 403 with "Lifetime
// validation failed. The token is expired." of a version before the challenge
// (azure-sdk-for-java#8667); 409 (Azure/blobfile#139). Inferred: the other details, and
// NoAuthenticationInformation, which SDKs expect.
func unauthorized(refused *resource.Refusal, version string) *refusal {
	r := &refusal{
		Error:     Error{Status: http.StatusUnauthorized, Code: "InvalidAuthenticationInfo", Message: seeChallenge},
		challenge: true, meaning: refused.Meaning(), remedy: refused.Remedy(),
	}
	detail := ""
	switch refused.Reason {
	case resource.Missing:
		if version < challengeVersion {
			r.Error, r.challenge = Error{Status: http.StatusConflict, Code: "PublicAccessNotPermitted", Message: "Public access is not permitted on this storage account."}, false
			return r
		}
		r.Code = "NoAuthenticationInformation"
		return r
	case resource.WrongAudience:
		detail = "Audience validation failed. Audience did not match."
	case resource.WrongTenant, resource.WrongIssuer:
		detail = "Issuer validation failed. Issuer did not match."
	case resource.Revoked: // inferred
		r.claims, detail = refused.Claims(), resource.Evaluated
	case resource.Expired:
		detail = "Lifetime validation failed. The token is expired."
	case resource.NotYetValid:
		detail = "Lifetime validation failed. The token is not yet valid."
	case resource.UnknownKey, resource.KeysUnreachable:
		detail = "Signature validation failed. Signature key not found."
	default: // the signature, or nothing that has one
		detail = "Signature validation failed. Signature verification failed."
	}
	if version < challengeVersion {
		r.Error, r.challenge = Error{Status: http.StatusForbidden, Code: "AuthenticationFailed", Message: notAuthentic}, false
	}
	return r.detail(detail)
}

// badSignature refuses a SAS, or a token of a version that knows none.
func badSignature(detail, meaning, remedy string) *refusal {
	return fail(http.StatusForbidden, "AuthenticationFailed", notAuthentic, meaning, remedy).detail(detail)
}

// noBearer is seen: microsoft/AzureStorageExplorer#3586.
func noBearer() *refusal {
	return badSignature("Authentication scheme Bearer is not supported in this version.",
		"The request does not say that it is of a version of the REST API that knows bearer tokens.", "Send x-ms-version: "+bearerVersion+" or later, as SDKs do.")
}

// mismatch is for a known caller without the permission.
// Seen: microsoft/AzureStorageExplorer#3767, Azure/kusto-copy#79.
func mismatch(meaning, remedy string) *refusal {
	return fail(http.StatusForbidden, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.",
		meaning, remedy)
}

// keyRefused is what accounts say that take no shared key (allowSharedKeyAccess: false): to
// requests signed with one, and to service and account SAS, which are, too.
// Source: azure-docs, storage/common/shared-key-authorization-prevent.md.
func keyRefused() *refusal {
	return fail(http.StatusForbidden, "KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this storage account.",
		"The client signed with an account key, or sent a SAS made with one. The accounts of wiemu are as with allowSharedKeyAccess: false; they have no keys, and take access tokens and user delegation SAS.", "Give the client a credential, such as DefaultAzureCredential, in place of a key or a connection string; make SAS with a user delegation key.")
}

// networkRefused is what a request gets that the account's network rules do not let in.
// Seen: microsoft/AzureStorageExplorer#3681.
func networkRefused() *refusal {
	return fail(http.StatusForbidden, "AuthorizationFailure", "This request is not authorized to perform this operation.",
		"A fault plays network rules of the account that do not let the client in, whatever its token. An application sees 403, as without a role, with another code.", "In Azure, let the subnet or address in by the account's networking, or reach it through a private endpoint.")
}

// preflightRefused answers preflight requests of accounts without CORS rules.
// Source: REST reference, Preflight Blob Request.
func preflightRefused() *refusal {
	return fail(http.StatusForbidden, "CorsPreflightFailure", "CORS not enabled or no matching rule found for this request.",
		"A browser asked whether a page may use the account. The accounts of wiemu have no CORS rules.", "Ask from a server, or leave this out of what is tried with wiemu.")
}

func (s *Accounts) noSuchAccount(name, host string) *refusal {
	meaning, add := "The client asked for a storage account that is not configured.", "."
	if ValidAccount(name) {
		add = ", or add it in wiemu.yaml to storageAccounts: - {name: " + name + "}"
	}
	if strings.HasSuffix(name, "-secondary") {
		meaning = "The client asked for the secondary location of a storage account. The accounts of wiemu are locally redundant and have none."
	}
	meant := s.nearest(name)
	if meant != "" {
		meant = "Did you mean " + meant + "? "
	}
	return fail(http.StatusNotFound, "ResourceNotFound", fmt.Sprintf("There is no storage account %q here. In Azure the host name %s would not resolve.", name, host),
		meaning, meant+"Check the account's name in the client"+add)
}

// notServed answers for the services that are not emulated.
func notServed(s Service) *refusal {
	r := &refusal{
		Error:   Error{Status: http.StatusNotImplemented, Code: "NotImplemented"},
		meaning: fmt.Sprintf("The client asked the %s service of a storage account, which wiemu does not emulate.", s),
	}
	switch s {
	case DFS:
		r.Message = "wiemu does not emulate Azure Data Lake Storage (dfs). Use the blob endpoint, which reaches the same data in Azure."
		r.remedy = "Use the blob endpoint and a Blob client, which reach the same data in Azure; or leave this out of what is tried with wiemu."
	default:
		r.Message = "wiemu does not emulate Azure Files. Use blobs."
		r.remedy = "Use blobs, or leave this out of what is tried with wiemu."
	}
	return r
}

func badRequest(code, message, meaning string, extra ...Extra) *refusal {
	return fail(http.StatusBadRequest, code, message, meaning, "", extra...)
}

func badHeader(name, value, meaning string) *refusal {
	return badRequest("InvalidHeaderValue", "The value for one of the HTTP headers is not in the correct format.", meaning, Extra{"HeaderName", name}, Extra{"HeaderValue", value})
}

func badXML(meaning string) *refusal {
	return badRequest("InvalidXmlDocument", "XML specified is not syntactically valid.", meaning)
}

func badNode(name, value, meaning string) *refusal {
	return badRequest("InvalidXmlNodeValue", "The value for one of the XML nodes is not in the correct format.", meaning, Extra{"XmlNodeName", name}, Extra{"XmlNodeValue", value})
}

// unknownOperation is for a method that the resource does not have, or a comp that nothing
// has. Source: REST reference, "Common REST API error codes".
func unknownOperation(comp string, methods []string) *refusal {
	if len(methods) > 0 {
		return fail(http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.", "What the client asked for is done with "+strings.Join(methods, " or ")+".", "")
	}
	return badRequest("InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid.",
		"The service has no operation of these parameters.", Extra{"QueryParameterName", "comp"}, Extra{"QueryParameterValue", comp}, Extra{"Reason", ""})
}

// noLength is for a body whose length is not declared.
// Source: REST reference, "Common REST API error codes".
func noLength() *refusal {
	return fail(http.StatusLengthRequired, "MissingContentLengthHeader", "Content-Length HTTP header is missing",
		"Storage takes no body whose length it is not told beforehand.", "Send Content-Length; SDKs upload a stream of unknown length in blocks.")
}

// tooLarge is for a body that is longer than MaxBody.
func tooLarge(most int64) *refusal {
	return fail(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum permissible limit.",
		fmt.Sprintf("wiemu takes up to %d bytes in a request. Azure takes more of newer versions of the API: 5,000 MiB with Put Blob, 4,000 MiB with Put Block.", most),
		"Upload in blocks, as SDKs do.", Extra{"MaxLimit", strconv.FormatInt(most, 10)})
}

// told explains the errors of backends by their codes, for the journal.
var told = map[string]struct{ meaning, remedy string }{
	"AppendPositionConditionNotMet":     {"The append blob is not as long as the client expected.", "Read its length again before appending."},
	"BlobAlreadyExists":                 {"The blob is there already, and the request asked that it is not (If-None-Match: *).", ""},
	"BlobNotFound":                      {"There is no such blob in the container.", "Check the name, of which letter case and slashes count, and whether it was uploaded before."},
	"ConditionNotMet":                   {"A condition of the request (If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since) does not hold: somebody else has changed the blob, or nobody has.", "Read it again and decide anew."},
	"ContainerAlreadyExists":            {"The container is there already. Clients that create one if it is missing take this for success.", ""},
	"ContainerNotFound":                 {"There is no such container in the account. Having the role to write blobs makes none.", "Create it, or add it to containers of the account in wiemu.yaml."},
	"InvalidBlobOrBlock":                {"The blob or a block has a name or a type that does not fit what was asked.", ""},
	"InvalidBlobType":                   {"The blob is of another type than the operation is for, such as an append blob where a block blob is wanted.", ""},
	"InvalidBlockList":                  {"The block list names a block that was not uploaded, or not after the last commit.", "Upload the block before the list."},
	"InvalidRange":                      {"The range begins behind the end of the blob.", ""},
	"LeaseAlreadyPresent":               {"Somebody else has the lease.", "Wait until it ends on the lab clock, or break it."},
	"LeaseIdMismatchWithBlobOperation":  {"The client sent a lease id that is not the blob's current one: its lease was lost.", "Acquire it again; renew it before it ends."},
	"LeaseIdMismatchWithLeaseOperation": {"The client's lease id is not the current one: its lease was lost.", "Acquire it again; renew it before it ends."},
	"LeaseIdMissing":                    {"Somebody has a lease, and the client sent none.", "Send x-ms-lease-id, or wait until the lease ends."},
	"LeaseLost":                         {"The lease that the client sent has ended, and the blob was changed or leased since.", "Renew the lease before it ends."},
	"LeaseNotPresentWithBlobOperation":  {"The client sent a lease id, and nobody has a lease any more: it has ended on the lab clock.", "Renew the lease before it ends."},
	"MessageNotFound":                   {"The queue has no such message, or its time is over.", ""},
	"PopReceiptMismatch":                {"The message was received by somebody else since, or updated: the receipt is not its current one.", "Delete a message before its visibility timeout ends."},
	"QueueAlreadyExists":                {"The queue is there already, with other metadata.", ""},
	"QueueNotFound":                     {"There is no such queue in the account.", "Create it, or add it to queues of the account in wiemu.yaml."},
	"TableNotFound":                     {"There is no such table in the account.", "Create it first."},
}

// services are those that hosts name, in the order of the CA's names.
func services() []Service { return []Service{Blob, Queue, Table, DFS, File} }
