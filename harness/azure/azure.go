// Package azure leads the clients of the Azure SDK for Go to the lab of a test, and
// gives them the credentials of its workloads. It is apart from package harness so
// that only tests which use that SDK link it.
package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	sdk "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/internal/cloud"
)

// ClientOptions lead a client of the SDK to the lab: they name the lab's cloud, and
// their Transport is [harness.Lab.HTTPClient]. Retries are the SDK's own, and wait
// on the machine's clock, or the bubble's.
func ClientOptions(lab *harness.Lab) azcore.ClientOptions {
	in, _ := cloud.Named(lab.Cloud) // which the lab has from there
	return azcore.ClientOptions{
		Transport: lab.HTTPClient(),
		Cloud: sdk.Configuration{
			ActiveDirectoryAuthorityHost: in.Authority(),
			Services: map[sdk.ServiceName]sdk.ServiceConfiguration{sdk.ResourceManager: {
				Endpoint: "https://" + in.Management[0],
				Audience: "https://" + in.Management[len(in.Management)-1], // azcore: arm/runtime/runtime.go
			}},
		},
	}
}

// Credential is what azidentity makes of a pod's environment: it exchanges the token
// in the pod's file, and caches access tokens as in production, on the time of the
// machine or the bubble. An application that starts again makes another one.
func Credential(t harness.TB, lab *harness.Lab, pod *harness.Pod) *azidentity.WorkloadIdentityCredential {
	t.Helper()
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: ClientOptions(lab), ClientID: pod.ClientID, TenantID: pod.TenantID, TokenFilePath: pod.TokenFile,
	})
	if err != nil {
		t.Fatalf("credential of %s/%s: %v", pod.Namespace, pod.ServiceAccount, err)
	}
	return credential
}
