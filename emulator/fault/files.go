package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// files are faults of a workload's token file, of the tokens in it, and of what
// its pod is told.
func files() []Kind {
	selects := []string{selectWorkload}
	const clears = " Clearing the fault restores the file."
	return []Kind{
		{
			Name: faultkind.WebhookNotInjecting, Point: faultkind.AtPodStart, Selects: append([]string{selectClient}, selects...),
			Summary: "a pod starts without AZURE_* variables and without a token file",
			Description: "azure-workload-identity's webhook was not asked or did not answer, and its failurePolicy was Ignore. WorkloadIdentityCredential says that no client id was specified; DefaultAzureCredential goes on to the next credential. " +
				"Programs that run already keep what they have; so does this one when the fault is cleared. Source: azure-workload-identity#790.",
			Example: "webhook-not-injecting --for workload=my-radix-app-dev/web-sa",
		},
		{
			Name: faultkind.ExpiredServiceAccountToken, Point: faultkind.AtMint, Selects: append([]string{selectIssuer}, selects...),
			Summary:     "the cluster mints a token that has expired already",
			Description: "As when the clock of an API server is behind. A kubelet asks for another one at each synchronisation of the pod; Entra ID refuses with 700024.",
			Parameters:  []Parameter{{Name: "ago", Type: TypeDuration, Default: "1h", Description: "how long ago the token expired, in lab time"}},
			Example:     "expired-service-account-token --for workload=my-radix-app-dev/web-sa ago=2h",
		},
		{
			Name: faultkind.EarlyServiceAccountToken, Point: faultkind.AtMint, Selects: append([]string{selectIssuer}, selects...),
			Summary:     "the cluster mints a token that is not valid yet",
			Description: "As when the clock of an API server is ahead. Entra ID allows for five minutes, and then refuses with 700024 until the token's time has come.",
			Parameters:  []Parameter{{Name: "ahead", Type: TypeDuration, Default: "15m", Description: "in how long the token becomes valid, in lab time"}},
			Example:     "not-yet-valid-service-account-token --for issuer=local ahead=10m",
		},
		{
			Name: faultkind.TokenNotRotated, Point: faultkind.AtRenewal, Selects: selects,
			Summary: "the kubelet leaves out a renewal of the token",
			Description: "At 80 % of its lifetime nothing happens, and the token in the file grows old: 700024 from five minutes after its end. A call is a renewal that is due; the one after it comes when the left-out token would have been renewed. " +
				"Clearing the fault renews at the pod's next synchronisation. Source: kubernetes-sigs/blob-csi-driver#1987.",
			Example: "token-not-rotated --for workload=my-radix-app-dev/web-sa",
		},
		{
			Name: faultkind.TokenFileDeletedDuringSwap, Point: faultkind.AtRenewal, Selects: selects,
			Summary:     "the token file is gone for a while at each renewal",
			Description: "As with something that deletes the file and writes it anew, where a kubelet renames. Readers see ENOENT until the new token is there." + clears,
			Parameters:  []Parameter{{Name: "window", Type: TypeDuration, Default: "5s", Description: "how long the file is gone, in lab time"}},
			Example:     "token-file-deleted-during-swap --for workload=my-radix-app-dev/web-sa window=30s",
		},
		{
			Name: faultkind.TokenFileMissing, Point: faultkind.AtTokenFile, Selects: selects,
			Summary:     "the token file is not there",
			Description: "Readers see ENOENT. Source: azure-workload-identity#665, kedacore/keda#3977." + clears,
			Example:     "token-file-missing --for workload=my-radix-app-dev/web-sa",
		},
		{
			Name: faultkind.TokenFileEmpty, Point: faultkind.AtTokenFile, Selects: selects,
			Summary:     "the token file is empty",
			Description: "As after a crash between making and writing it. SDKs send an empty assertion or say that there is none." + clears,
			Example:     "token-file-empty --for workload=my-radix-app-dev/web-sa",
		},
		{
			Name: faultkind.TokenFileTruncated, Point: faultkind.AtTokenFile, Selects: selects,
			Summary:     "the token file holds the beginning of the token",
			Description: "As on a full disk, or read while it is written without renaming. Entra ID refuses anything that is not a JWT with 50027." + clears,
			Parameters:  []Parameter{{Name: "bytes", Type: TypeNumber, Default: "200", Description: "how much of the token is there"}},
			Example:     "token-file-truncated --for workload=my-radix-app-dev/web-sa bytes=500",
		},
		{
			Name: faultkind.TokenFileUnreadable, Point: faultkind.AtTokenFile, Selects: selects,
			Summary: "the token file cannot be read",
			Description: "Its mode is 000, so that programs see EACCES, as one that does not run as fsGroup has it. Root reads such a file all the same: where wiemu runs as root, or on Windows, how=mode does nothing to programs, " +
				"so a directory stands in the file's place and they see EISDIR." + clears,
			Parameters: []Parameter{{Name: "how", Type: TypeChoice, Values: []string{"auto", "mode", "directory"}, Default: "auto", Description: "mode 000, or a directory in its place; auto: the mode, unless wiemu runs as root"}},
			Example:    "token-file-unreadable --for workload=my-radix-app-dev/web-sa",
		},
		{
			Name: faultkind.SubPathMount, Point: faultkind.AtTokenFile, Selects: selects,
			Summary: "the program sees the token file as it was at first",
			Description: "The volume goes on, with a new token in ..data at each renewal; the file at the program's path is the one that was mounted. " +
				"Source: Kubernetes' documentation of volumes: a container that uses a projected volume as a subPath mount does not receive updates." + clears,
			Example: "subpath-mount --for workload=my-radix-app-dev/web-sa",
		},
	}
}
