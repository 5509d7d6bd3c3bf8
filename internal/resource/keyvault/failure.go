package keyvault

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// errorBody is a failure in Key Vault's error JSON:
// {"error":{"code":…,"message":…,"innererror":{"code":…}}}.
func errorBody(f *resource.Failure) any {
	type content struct {
		Code    string   `json:"code"`
		Message string   `json:"message,omitempty"`
		Inner   *content `json:"innererror,omitempty"`
	}
	c := content{Code: f.Code, Message: f.Message}
	if f.Inner != "" {
		c.Inner = &content{Code: f.Inner}
	}
	return map[string]content{"error": c}
}

// unauthorized says in Key Vault's words why a token was refused. The message has the
// issuer that the token claims, verified or not.
// Seen: AKV10000 (azure-sdk-for-js recordings, 2021), AKV10022 (2024), AKV10032
// (azure-cli#11871), AKV10046 (terraform-provider-azurerm#30912, 2026), S2S12086
// (azure-sdk-for-python#27266, 2022), IDX numbers after "Error validating token"
// (azure-sdk-for-python#12368). Which IDX number goes with which fault is from
// Microsoft.IdentityModel's own list.
func (c *call) unauthorized(refused *resource.Refusal) *resource.Failure {
	message, meaning := "", refused.Meaning()
	switch refused.Reason {
	case resource.Missing:
		message = "AKV10000: Request is missing a Bearer or PoP token."
		meaning += " Clients of Key Vault send their first request like that on purpose, to be told where to get a token."
	case resource.WrongAudience:
		message = fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", refused.Expected, refused.Presented)
	case resource.WrongTenant, resource.WrongIssuer, resource.WrongType:
		message = fmt.Sprintf("AKV10032: Invalid issuer. Expected one of %s, found %s.", c.service.kit.Cloud().IssuerV1(c.tenant), c.Caller.Issuer)
	case resource.UnknownKey, resource.KeysUnreachable:
		message = "AKV10046: Unable to resolve the key used for signature validation."
	case resource.Expired:
		message = "[TokenExpired] Error validating token: 'S2S12086'."
	case resource.NotYetValid:
		message = "Error validating token: IDX10222"
	case resource.BadSignature, resource.WrongAlgorithm:
		message = "Error validating token: IDX10511"
	case resource.Revoked: // the text is inferred from Graph's, the challenge is that of the SDKs' tests
		return &resource.Failure{
			Status: http.StatusUnauthorized, Code: "Unauthorized", Message: resource.Evaluated, Meaning: refused.Meaning(), Remedy: refused.Remedy(),
			Challenge: `Bearer realm="", authorization_uri="` + c.service.kit.Cloud().Authority() + `common/oauth2/authorize", error="insufficient_claims", claims="` + refused.Claims() + `"`,
		}
	default:
		message = "Error validating token: IDX12741"
	}
	return &resource.Failure{
		Status: http.StatusUnauthorized, Code: "Unauthorized", Message: message, Meaning: meaning, Remedy: refused.Remedy(),
		// Its exact form matters: clients split it at blanks and commas.
		Challenge: `Bearer authorization="` + c.service.kit.Cloud().Authority() + c.tenant + `", resource="https://` + c.service.kit.Cloud().Vault + `"`,
	}
}

// Interrupt implements resource.Access.
// Seen: 429 (vcsjones/AzureSignTool#219, 2023; azure-sdk-for-java#14879). The
// texts of 5xx are inferred.
func (c *call) Interrupt(status int, _ time.Duration) *resource.Failure {
	switch status {
	case http.StatusTooManyRequests:
		return resource.Fail(status, "Throttled", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
			"The vault had too many requests and takes no more for a while.", "Wait as long as Retry-After says, or with growing pauses, and keep secrets that were read.")
	case http.StatusInternalServerError:
		return resource.Fail(status, "InternalServerError", "An unexpected error occurred while processing the request.", "The vault failed.", "Try again, with growing pauses.")
	default:
		return resource.Fail(status, "ServiceUnavailable", "The service is temporarily unavailable.", "The vault could not answer just now.", "Try again, with growing pauses.")
	}
}

// notFound is for an object or version that is not there. noun is its kind: Secret, Key or
// Certificate.
// Seen: azure-sdk-for-rust's documentation of SecretNotFound; azure-sdk-for-js recordings
// of KeyNotFound (2021) and CertificateNotFound (2022).
// meant is the nearest name that the vault has, "" for none; it is for the journal only.
func notFound(noun, name, meant string) *resource.Failure {
	kind := strings.ToLower(noun)
	return resource.Fail(http.StatusNotFound, noun+"NotFound",
		fmt.Sprintf("A %[1]s with (name/id) %[2]s was not found in this key vault. If you recently deleted this %[1]s you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", kind, name),
		"The vault has no such "+kind+" or version.",
		didYouMean(meant)+"Check the spelling (letter case does not matter) and the vault; add the "+kind+" to the vault's "+kind+"s.")
}

// deletedNotFound is for a name that is not in the bin.
// Seen: azure-sdk-for-js recordings, 2021.
func deletedNotFound(noun, name string) *resource.Failure {
	return resource.Fail(http.StatusNotFound, noun+"NotFound", "Deleted "+noun+" not found: "+name,
		"There is no deleted "+strings.ToLower(noun)+" with this name: it was never deleted, or it was recovered or purged.", "")
}

// disabled refuses the value of a disabled secret, and what would use a disabled key.
// Seen: SecretDisabled (azure-sdk-for-js recordings, 2021), KeyDisabled (Microsoft 365
// documentation of Double Key Encryption).
func disabled(noun, operation string) *resource.Failure {
	return &resource.Failure{
		Status: http.StatusForbidden, Code: "Forbidden", Inner: noun + "Disabled",
		Message: "Operation " + operation + " is not allowed on a disabled " + strings.ToLower(noun) + ".",
		Meaning: "The version that was asked for is disabled.",
		Remedy:  "Enable it (attributes.enabled) or set a new version.",
	}
}

// inBin refuses to set a name that is in the bin.
// Seen: Key Vault's answer as the Azure CLI shows it; azure-sdk-for-cpp's tests of keys.
func inBin(noun, name string) *resource.Failure {
	kind := strings.ToLower(noun)
	return &resource.Failure{
		Status: http.StatusConflict, Code: "Conflict", Inner: "ObjectIsDeletedButRecoverable",
		Message: fmt.Sprintf("%s %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the %s can only be recovered or purged.", noun, name, kind),
		Meaning: "The name belongs to a deleted " + kind + ".",
		Remedy:  "Recover or purge the deleted " + kind + " first.",
	}
}

// badParameter refuses a malformed request. The words are Key Vault's where they
// are known (invalid name, unknown operation), else ours.
func badParameter(format string, args ...any) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadParameter", fmt.Sprintf(format, args...), "The request is not one that Key Vault understands.", "")
}

// noSuchVault answers for a host that no vault has. In Azure the name would not
// even resolve.
// meant is the nearest vault that exists, "" for none; it is for the journal only.
func noSuchVault(name, domain, meant string) *resource.Failure {
	add := "."
	if ValidVaultName(name) {
		add = ", or add it in wiemu.yaml to vaults: - {name: " + name + "}"
	}
	return resource.Fail(http.StatusNotFound, "VaultNotFound",
		fmt.Sprintf("There is no key vault %q here. In Azure the host name %s.%s would not resolve.", name, name, domain),
		"The client asked for a vault that is not configured.",
		didYouMean(meant)+"Check the vault's name in the client"+add)
}

func didYouMean(meant string) string {
	if meant == "" {
		return ""
	}
	return "Did you mean " + meant + "? "
}

func notServed(path string) *resource.Failure {
	return resource.Fail(http.StatusNotImplemented, "NotImplemented",
		fmt.Sprintf("%s: this vault serves secrets, keys and certificates; it has no managed storage accounts, no backup of secrets and certificates, and merges no certificates.", path),
		"The client asked for a part of Key Vault that wiemu does not emulate.",
		"Leave this request out of what is tried with wiemu.")
}

// notEmulated refuses what Key Vault would do. The message says who answers.
func notEmulated(what, instead string) *resource.Failure {
	return resource.Fail(http.StatusNotImplemented, "NotImplemented", "wiemu does not emulate "+what+".",
		"The client asked for a part of Key Vault that wiemu does not emulate.", instead)
}
