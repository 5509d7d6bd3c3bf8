// Package azure leads the clients of the Azure SDK for Go to the lab of a test, and
// gives them the credentials of its workloads. It is apart from package harness so
// that only tests which use that SDK link it.
package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wiemu/wiemu/harness"
)

// ClientOptions lead a client of the SDK to the lab: they name the lab's cloud, and
// their Transport is [harness.TestLab.HTTPClient]. Retries are the SDK's own, and wait
// on the machine's clock, or the bubble's.
func ClientOptions(lab *harness.TestLab) azcore.ClientOptions {
	in := lab.Lab().Emulator().Cloud()
	return azcore.ClientOptions{
		Transport: lab.HTTPClient(),
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: in.Authority(),
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {
				Endpoint: "https://" + in.Management[0],
				Audience: "https://" + in.Management[len(in.Management)-1], // azcore: arm/runtime/runtime.go
			}},
		},
	}
}

// Credential is what azidentity makes of a pod's environment: it exchanges the token
// in the pod's file, and caches access tokens as in production, on the time of the
// machine or the bubble. An application that starts again makes another one.
func Credential(t harness.TB, lab *harness.TestLab, pod *harness.Pod) *azidentity.WorkloadIdentityCredential {
	t.Helper()
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: ClientOptions(lab), ClientID: pod.Environment.ClientID, TenantID: pod.Environment.TenantID, TokenFilePath: pod.Environment.TokenFile,
	})
	if err != nil {
		t.Fatalf("credential of %s/%s: %v", pod.Namespace, pod.ServiceAccount, err)
	}
	return credential
}
