package keyvault

import (
	"context"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/resource"
)

// failure is an answer in Key Vault's error JSON:
// {"error":{"code":…,"message":…,"innererror":{"code":…}}}.
type failure struct {
	status  int
	code    string
	message string
	inner   string // "": no innererror

	meaning, remedy string // for the journal
}

// body is the failure as JSON.
func (f *failure) body() any {
	type inner struct {
		Code string `json:"code"`
	}
	type content struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Inner   *inner `json:"innererror,omitempty"`
	}
	c := content{Code: f.code, Message: f.message}
	if f.inner != "" {
		c.Inner = &inner{f.inner}
	}
	return struct {
		Error content `json:"error"`
	}{c}
}

// unauthorized says in Key Vault's words why a token was refused. What the token
// says of its issuer is told, true or not.
// Seen: AKV10000 (azure-sdk-for-js recordings, 2021), AKV10022 (2024), AKV10032
// (azure-cli#11871), AKV10046 (terraform-provider-azurerm#30912, 2026), S2S12086
// (azure-sdk-for-python#27266, 2022), IDX numbers after "Error validating token"
// (azure-sdk-for-python#12368). Which IDX number goes with which fault is from
// Microsoft.IdentityModel's own list.
func (c *call) unauthorized(refused *resource.Refusal, tenant string) *failure {
	message := ""
	switch refused.Reason {
	case resource.Missing:
		message = "AKV10000: Request is missing a Bearer or PoP token."
	case resource.WrongAudience:
		message = fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", refused.Expected, refused.Presented)
	case resource.WrongTenant, resource.WrongIssuer, resource.WrongType:
		message = fmt.Sprintf("AKV10032: Invalid issuer. Expected one of %s, found %s.", c.validator.Cloud().IssuerV1(tenant), c.caller.Issuer)
	case resource.UnknownKey, resource.KeysUnreachable:
		message = "AKV10046: Unable to resolve the key used for signature validation."
	case resource.Expired:
		message = "[TokenExpired] Error validating token: 'S2S12086'."
	case resource.NotYetValid:
		message = "Error validating token: IDX10222"
	case resource.BadSignature, resource.WrongAlgorithm:
		message = "Error validating token: IDX10511"
	default:
		message = "Error validating token: IDX12741"
	}
	return &failure{status: http.StatusUnauthorized, code: "Unauthorized", message: message, meaning: refused.Meaning(), remedy: refused.Remedy()}
}

// interrupted is how Key Vault refuses a request that a fault hit, whoever sent
// it; nil when none did.
// Seen: 429 (vcsjones/AzureSignTool#219, 2023; azure-sdk-for-java#14879). The
// texts of 5xx are inferred.
func interrupted(ctx context.Context) *failure {
	status, _, refused := fault.Refusal(ctx)
	switch {
	case !refused:
		return nil
	case status == http.StatusTooManyRequests:
		return &failure{
			status: status, code: "Throttled", message: "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
			meaning: "The vault had too many requests and takes no more for a while.", remedy: "Wait as long as Retry-After says, or with growing pauses, and keep secrets that were read.",
		}
	case status == http.StatusInternalServerError:
		return &failure{status: status, code: "InternalServerError", message: "An unexpected error occurred while processing the request.", meaning: "The vault failed.", remedy: "Try again, with growing pauses."}
	default:
		return &failure{status: status, code: "ServiceUnavailable", message: "The service is temporarily unavailable.", meaning: "The vault could not answer just now.", remedy: "Try again, with growing pauses."}
	}
}

// forbidden refuses a caller without the permission.
// Seen: azure container apps' troubleshooting page, with DeniedWithNoValidRBAC.
func forbidden(vault, name, action string, caller resource.Caller, permission string) *failure {
	target := "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/wiemu/providers/microsoft.keyvault/vaults/" + vault
	if name != "" {
		target += "/secrets/" + name
	}
	return &failure{
		status: http.StatusForbidden, code: "Forbidden", inner: "ForbiddenByRbac",
		message: fmt.Sprintf("Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=%s;oid=%s;iss=%s\r\nAction: '%s'\r\nResource: '%s'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: %s;location=%s\r\n",
			caller.ClientID, caller.ObjectID, caller.Issuer, action, target, vault, region),
		meaning: fmt.Sprintf("The token is good, but its owner may not %s secrets in vault %s.", permission, vault),
		remedy: fmt.Sprintf("Give the identity with client id %s the permission %s (in Azure: a role such as Key Vault Secrets User, or an access policy). In wiemu.yaml the vault's access has to say so: vaults: [{name: %s, access: [{identity: %s, permissions: [%s]}]}]",
			caller.ClientID, permission, vault, caller.ClientID, permission),
	}
}

// notFound is for a secret or version that is not there.
// Seen: azure-sdk-for-rust's documentation of SecretNotFound.
// Meant is the nearest name that the vault has, "" for none; the client is not told it.
func notFound(name, meant string) *failure {
	return &failure{
		status: http.StatusNotFound, code: "SecretNotFound",
		message: fmt.Sprintf("A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182", name),
		meaning: "The vault has no such secret or version.",
		remedy:  didYouMean(meant) + "Check the spelling (letter case does not matter) and the vault; add the secret to the vault's secrets.",
	}
}

// deletedNotFound is for a name that is not in the bin.
// Seen: azure-sdk-for-js recordings, 2021.
func deletedNotFound(name string) *failure {
	return &failure{
		status: http.StatusNotFound, code: "SecretNotFound", message: "Deleted Secret not found: " + name,
		meaning: "There is no deleted secret with this name: it was never deleted, or it was recovered or purged.",
	}
}

// disabled refuses the value of a secret that is switched off.
// Seen: azure-sdk-for-js recordings, 2021.
func disabled() *failure {
	return &failure{
		status: http.StatusForbidden, code: "Forbidden", inner: "SecretDisabled",
		message: "Operation get is not allowed on a disabled secret.",
		meaning: "The version that was asked for is disabled.",
		remedy:  "Enable it (attributes.enabled) or set a new version.",
	}
}

// inBin refuses to set a name that is in the bin.
// Seen: Key Vault's answer as the Azure CLI shows it.
func inBin(name string) *failure {
	return &failure{
		status: http.StatusConflict, code: "Conflict", inner: "ObjectIsDeletedButRecoverable",
		message: fmt.Sprintf("Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.", name),
		meaning: "The name belongs to a deleted secret.",
		remedy:  "Recover or purge the deleted secret first.",
	}
}

// badParameter refuses a malformed request. The words are Key Vault's where they
// are known (invalid name, unknown operation), else ours.
func badParameter(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, code: "BadParameter", message: fmt.Sprintf(format, args...), meaning: "The request is not one that Key Vault understands."}
}

// noSuchVault answers for a host that no vault has. In Azure the name would not
// even resolve.
// Meant is the nearest vault that is here, "" for none; the client is not told it.
func noSuchVault(name, domain, meant string) *failure {
	return &failure{
		status: http.StatusNotFound, code: "VaultNotFound",
		message: fmt.Sprintf("There is no key vault %q here. In Azure the host name %s.%s would not resolve.", name, name, domain),
		meaning: "The client asked for a vault that is not configured.",
		remedy:  didYouMean(meant) + "Check the vault's name in the client, or add it to vaults in the configuration.",
	}
}

func didYouMean(meant string) string {
	if meant == "" {
		return ""
	}
	return "Did you mean " + meant + "? "
}

// notServed answers for the parts of Key Vault that are not here.
func notServed(path string) *failure {
	return &failure{
		status: http.StatusNotImplemented, code: "NotImplemented",
		message: fmt.Sprintf("%s: this vault serves secrets (set, get, list, update, delete, recover, purge); it has no keys, certificates, backup or restore.", path),
		meaning: "The client asked for a part of Key Vault that wiemu does not emulate.",
		remedy:  "Leave this request out of what is tried with wiemu, which has a vault's secrets alone.",
	}
}
