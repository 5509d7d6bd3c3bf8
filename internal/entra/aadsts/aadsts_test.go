package aadsts

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var at = time.Date(2025, 12, 19, 16, 45, 40, 345193300, time.UTC)

// every constructor, with the whole text that a client gets.
func refusals() map[*Error]string {
	const learn = " Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
	return map[*Error]string{
		WrongMethod("POST, OPTIONS", "GET"):       "AADSTS900561: The endpoint only accepts POST, OPTIONS requests. Received a GET request.",
		MalformedRequest():                        "AADSTS9002313: Invalid request. Request is malformed or invalid.",
		DuplicatedParameter("scope"):              "AADSTS9000411: The request is not properly formatted. The parameter 'scope' is duplicated.",
		MissingParameter("scope"):                 "AADSTS900144: The request body must contain the following parameter: 'scope'.",
		MissingClaim("iss"):                       "AADSTS90014: The required field 'iss' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
		ResourceNotSupported():                    "AADSTS901002: The 'resource' request parameter is not supported.",
		UnsupportedGrantType("x"):                 "AADSTS70003: The app requested an unsupported grant type 'x'.",
		EmptyTenant("0"):                          "AADSTS900021: Requested tenant identifier '0' is not valid. Tenant identifiers may not be an empty GUID.",
		InvalidTenant("x"):                        "AADSTS900023: Specified tenant identifier 'x' is neither a valid DNS name, nor a valid external domain.",
		UnknownTenant("x"):                        "AADSTS90002: Tenant 'x' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.",
		NoTenant():                                "AADSTS50059: No tenant-identifying information found in either the request or implied by any provided credentials.",
		UnknownInstance():                         "AADSTS50049: Unknown or invalid instance.",
		NotDefaultScope("a b"):                    "AADSTS1002012: The provided value for scope a b is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
		InvalidScope("a"):                         "AADSTS70011: The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope a is not valid.",
		SeveralResources():                        "AADSTS700022: The provided value for the input parameter 'scope' is not valid because it contains more than one resource.",
		UnknownResource("r", "t"):                 "AADSTS500011: The resource principal named r was not found in the tenant named t. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
		EmptyClientID("x"):                        "AADSTS700038: x is not a valid application identifier.",
		UnknownApplication("c", "t"):              "AADSTS700016: Application with identifier 'c' was not found in the directory 't'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
		DisabledApplication("c", "n"):             "AADSTS7000112: Application 'c'(n) is disabled.",
		MissingClientCredential():                 "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
		SeveralClientCredentials():                "AADSTS9002324: Request should not contain more than one client credential parameters, this includes 'client_secret', 'client_assertion' and 'request' parameters.",
		WrongSecret("c"):                          "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app 'c'.",
		ExpiredSecret("c"):                        "AADSTS7000222: The provided client secret keys for app 'c' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
		SecretOfManagedIdentity("c"):              "AADSTS7000232: MSI identity (c) should not use ClientSecretCredential",
		MalformedToken():                          "AADSTS50027: JWT token is invalid or malformed.",
		NoKeyNamed():                              "AADSTS5002723: Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId specified in token header.",
		WrongType():                               "AADSTS5002727: Invalid JWT header type specified. Allowed types: 'JWT','http://openid.net/specs/jwt/1.0'",
		UnsupportedKey():                          "AADSTS5002730: Invalid JWT token. Unsupported key for the signing algorithm.",
		UnsupportedAlgorithm("HS256"):             "AADSTS5002738: Invalid JWT token. 'HS256' is not a supported signature algorithm. Supported signing algorithms are: 'RS256,RS384,RS512'",
		SubjectNotClient():                        "AADSTS700021: Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
		CertificateNotRegistered("c", "AB"):       "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: 'AB', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id 'c'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/c'].",
		CertificateNotRegistered("c", ""):         "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id 'c'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/c'].",
		CertificateExpired("c", "AB", at, at):     "AADSTS700027: The certificate with identifier used to sign the client assertion is expired on application. [Reason - The key used is expired., Thumbprint of key used by client: 'AB', Found key 'Start=12/19/2025 16:45:40, End=12/19/2025 16:45:40', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id 'c'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/c'].",
		CertificateNotYetValid("c", "AB", at, at): "AADSTS700027: The certificate with identifier used to sign the client assertion is expired on application. [Reason - The key used is expired., Thumbprint of key used by client: 'AB', Found key 'Start=12/19/2025 16:45:40, End=12/19/2025 16:45:40', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id 'c'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/c'].",
		OwnAssertionNotInTime(at, at, at):         "AADSTS700024: Client assertion is not within its valid time range. Current time: 2025-12-19T16:45:40.3451933Z, assertion valid from 2025-12-19T16:45:40.3451933Z, expiry time of assertion 2025-12-19T16:45:40.3451933Z. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
		ParameterInJSON("scope", "a/json"):        "AADSTS900144: The request body must contain the following parameter: 'scope'.",
		ParameterCompressed("grant_type", "gzip"): "AADSTS900144: The request body must contain the following parameter: 'grant_type'.",
		ParameterInURL("scope"):                   "AADSTS900144: The request body must contain the following parameter: 'scope'.",
		WrongAssertionType("x"):                   "AADSTS90011: Unexpected client assertion type.",
		TenantFromScope("x"):                      "AADSTS900023: Specified tenant identifier 'x' is neither a valid DNS name, nor a valid external domain.",
		ClientIDNoGUID("c", "t"):                  "AADSTS700016: Application with identifier 'c' was not found in the directory 't'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
		NoSecret("c", ""):                         "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app 'c'.",
		MalformedClaim("x"):                       "AADSTS50027: JWT token is invalid or malformed.",
		SeveralAudiences(true):                    "AADSTS50027: JWT token is invalid or malformed.",
		SecretNotYetValid("c", at):                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app 'c'.",
		InvalidTenant("token"):                    "AADSTS900023: Specified tenant identifier 'token' is neither a valid DNS name, nor a valid external domain.",
		MalformedKeyName("x5t"):                   "AADSTS50027: JWT token is invalid or malformed.",
		WrongSignature("AB", at, at):              "AADSTS700027: Client assertion contains an invalid signature. [Reason - The provided signature value did not match the expected signature value., Thumbprint of key used by client: 'AB', Found key 'Start=12/19/2025 16:45:40, End=12/19/2025 16:45:40']",
		WrongFederatedSignature("k"):              "AADSTS700027: Client assertion contains an invalid signature. [Reason - The provided signature value did not match the expected signature value., Thumbprint of key used by client: 'k']",
		WrongAssertionAudience():                  "AADSTS700023: Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
		NoFederatedCredentials("n"):               "AADSTS70025: The client 'n' has no configured federated identity credentials.",
		NoMatchingIssuer("i"):                     "AADSTS700211: No matching federated identity record found for presented assertion issuer 'i'." + learn,
		NoMatchingSubject("s"):                    "AADSTS700213: No matching federated identity record found for presented assertion subject 's'." + learn,
		NoMatchingAudience("a"):                   "AADSTS700212: No matching federated identity record found for presented assertion audience 'a'." + learn,
		SubjectDiffersInCase("s"):                 "AADSTS7002138: No matching federated identity record found for presented assertion subject 's'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. See documentation at: https://learn.microsoft.com/entra/workload-id/workload-identity-federation. See breaking change notification and remediation at: https://learn.microsoft.com/en-us/entra/identity-platform/reference-breaking-changes#august-2024.",
		OwnToken():                                "AADSTS700222: AAD-issued tokens may not be used for federated identity flows.",
		OwnTokenNotOfManagedIdentity():            "AADSTS700226: Only MSI tokens may be used as Federated Identity Credentials for AAD issuer.",
		OwnTokenOfOtherTenant("i"):                "AADSTS700236: Entra ID tokens issued by issuer 'i' may not be used for federated identity credential flows for applications or managed identities registered in this tenant.",
		LifetimeTooLong(at, at.Add(time.Hour)):    "AADSTS70023: External OIDC Provider token must have a lifetime of less than or equal to 1.01:00:00. Token issued at 1766162740. Token expires on 1766166340.",
		NotInTime(at, time.Time{}, at):            "AADSTS700024: Client assertion is not within its valid time range. Current time: 2025-12-19T16:45:40.3451933Z, assertion valid from 1970-01-01T00:00:00.0000000Z, expiry time of assertion 2025-12-19T16:45:40.3451933Z. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
		MetadataUnreachable():                     "AADSTS501661: Request to External OIDC endpoint failed.",
		KeyNotPublished("AB", "i"):                "AADSTS7000272: The certificate with identifier AB used to sign the federated credential could not be found in the metadata of identity provider i. Please validate that your Identity Provider's metadata exposes the key used to sign the incoming token.",
		NoServicePrincipal("c", "t"):              "AADSTS7000229: The client application c is missing service principal in the tenant t. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
		TooManyRequests(time.Minute):              "AADSTS90055: TenantThrottlingError - There are too many incoming requests.",
		RequestLoop():                             "AADSTS50196: The server terminated an operation because it encountered a client request loop. Please contact your app vendor.",
		PublicClient():                            "AADSTS700025: Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
		NotAssigned("c", "n", "r", "m"):           "AADSTS501051: Application 'c'(n) is not assigned to a role for the application 'r'(m).",
		RegionalOnly():                            "AADSTS100007: Microsoft Entra Regional ONLY supports auth either for MSIs OR for requests from MSAL using SN+I.",
		CrossCloud("h", "c", "l"):                 "AADSTS900382: Confidential Client is not supported in Cross Cloud request.",
		Unavailable():                             "AADSTS90033: A transient error has occurred. Please try again.",
	}
}

// A code can be given, or the catalogue says why not.
func TestEveryCodeHasAConstructorOrAReason(t *testing.T) {
	made := map[int]bool{}
	for refusal := range refusals() {
		made[refusal.Code] = true
	}
	for _, e := range Catalogue() {
		if made[e.Code] == (e.NotEmitted != "") {
			t.Errorf("%d: a constructor: %v, never: %q", e.Code, made[e.Code], e.NotEmitted)
		}
	}
}

func TestTexts(t *testing.T) {
	for refusal, want := range refusals() {
		if got := refusal.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestEveryEntryIsComplete(t *testing.T) {
	strict := json.NewDecoder(bytes.NewReader(catalogue))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&[]Entry{}); err != nil {
		t.Errorf("catalogue.json: %v", err)
	}
	seen := map[int]bool{}
	for _, e := range Catalogue() {
		if e.Code == 0 || e.OAuth == "" || e.Text == "" || e.Meaning == "" || e.Remedy == "" || e.Source == "" || e.Confidence == "" {
			t.Errorf("incomplete: %+v", e)
		}
		if (e.Status == 401) != (e.OAuth == "invalid_client") {
			t.Errorf("%d: %s is answered with %d; 401 is for invalid_client and for it alone", e.Code, e.OAuth, e.Status)
		}
		if seen[e.Code] {
			t.Errorf("%d is there twice", e.Code)
		}
		seen[e.Code] = true
		if got, ok := Lookup(e.Code); !ok || got != e {
			t.Errorf("Lookup(%d) is %+v", e.Code, got)
		}
	}
	if _, ok := Lookup(1); ok {
		t.Error("there is no code 1")
	}
	for refusal := range refusals() {
		if strings.Contains(refusal.Message, "{") {
			t.Errorf("%d has a placeholder left: %s", refusal.Code, refusal.Message)
		}
	}
}

// The body of a refusal, byte for byte.
func TestReply(t *testing.T) {
	for _, r := range []struct {
		refusal *Error
		want    string
	}{
		{MissingParameter("scope"), `{"error":"invalid_request","error_description":"AADSTS900144: The request body must contain the following parameter: 'scope'. Trace ID: t Correlation ID: c Timestamp: 2025-12-19 16:45:40Z","error_codes":[900144],"timestamp":"2025-12-19 16:45:40Z","trace_id":"t","correlation_id":"c","error_uri":"https://login.microsoftonline.com/error?code=900144"}`},
		{MetadataUnreachable(), `{"error":"invalid_request","error_description":"AADSTS501661: Request to External OIDC endpoint failed. Trace ID: t Correlation ID: c Timestamp: 2025-12-19 16:45:40Z","error_codes":[501661],"timestamp":"2025-12-19 16:45:40Z","trace_id":"t","correlation_id":"c"}`},
	} {
		got, err := json.Marshal(r.refusal.Reply("login.microsoftonline.com", at, "t", "c"))
		if err != nil || strings.ReplaceAll(string(got), `\u0026`, "&") != r.want {
			t.Errorf("got  %s\nwant %s", got, r.want)
		}
	}
}

// What a client sent comes back as it was, but not without end, and never as
// another placeholder.
func TestWhatIsRepeatedIsBounded(t *testing.T) {
	if got := NoMatchingSubject("{issuer}'").Message; !strings.Contains(got, "subject '{issuer}''.") {
		t.Error(got)
	}
	long := NoMatchingSubject(strings.Repeat("é", 100_000)).Message
	if len(long) > 2*maxEcho || !utf8.ValidString(long) || !regexp.MustCompile(`'é+…'`).MatchString(long) {
		t.Errorf("%d bytes: %.200s", len(long), long)
	}
}
