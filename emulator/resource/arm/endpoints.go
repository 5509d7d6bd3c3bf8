package arm

// cloud describes Azure's addresses to tools that are told only this one
// (ARM_METADATA_HOST, ARM_CLOUD_METADATA_URL).
// Source: what management.azure.com/metadata/endpoints?api-version=2022-09-01 answers,
// as hashicorp/go-azure-sdk and Azure CLI read it (azure.cli.core.cloud).
type cloud struct {
	Portal         string            `json:"portal"`
	Authentication authentication    `json:"authentication"`
	Media          string            `json:"media"`
	GraphAudience  string            `json:"graphAudience"`
	Graph          string            `json:"graph"`
	Name           string            `json:"name"`
	Suffixes       map[string]string `json:"suffixes"`
	Batch          string            `json:"batch"`
	Resources      string            `json:"resourceManager"`
	VMImages       string            `json:"vmImageAliasDoc"`
	SQL            string            `json:"sqlManagement"`
	DataLake       string            `json:"activeDirectoryDataLake"`
	MSGraph        string            `json:"microsoftGraphResourceId"`
	Synapse        string            `json:"synapseAnalyticsResourceId"`
	LogAnalytics   string            `json:"logAnalyticsResourceId"`
	Attestation    string            `json:"attestationResourceId"`
	ReleaseNotes   string            `json:"gallery"`
}

type authentication struct {
	LoginEndpoint    string   `json:"loginEndpoint"`
	Audiences        []string `json:"audiences"`
	Tenant           string   `json:"tenant"`
	IdentityProvider string   `json:"identityProvider"`
}

// endpoints are those of the lab's cloud, in what is emulated, else of the public one: a list up to 2022-09-01's version, one
// object before.
func (c *call) endpoints() (any, *failure) {
	in := c.validator.Cloud()
	at := func(host string) string { return "https://" + host + "/" }
	public := cloud{
		Portal: "https://portal.azure.com",
		Authentication: authentication{
			LoginEndpoint: "https://" + in.Login, Audiences: []string{at(in.Management[1]), at(in.Management[0])},
			Tenant: "common", IdentityProvider: "AAD",
		},
		Media: "https://rest.media.azure.net", GraphAudience: at(in.AADGraph), Graph: at(in.AADGraph), Name: in.Name,
		Suffixes: map[string]string{
			"azureDataLakeStoreFileSystem": "azuredatalakestore.net", "acrLoginServer": "azurecr.io", "sqlServerHostname": in.SQL,
			"azureDataLakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.net", "keyVaultDns": in.Vault, "storage": in.Storage,
			"azureFrontDoorEndpointSuffix": "azurefd.net", "storageSyncEndpointSuffix": "afs.azure.net", "mhsmDns": "managedhsm.azure.net",
			"mysqlServerEndpoint": "mysql.database.azure.com", "postgresqlServerEndpoint": "postgres.database.azure.com",
			"mariadbServerEndpoint": "mariadb.database.azure.com", "synapseAnalytics": "dev.azuresynapse.net", "attestationEndpoint": "attest.azure.net",
		},
		Batch: "https://batch.core.windows.net/", Resources: at(in.Management[0]),
		VMImages: "https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/arm-compute/quickstart-templates/aliases.json",
		SQL:      "https://management.core.windows.net:8443/", DataLake: "https://datalake.azure.net/", MSGraph: at(in.Graph),
		Synapse: "https://dev.azuresynapse.net", LogAnalytics: "https://api.loganalytics.io", Attestation: "https://attest.azure.net",
		ReleaseNotes: "https://gallery.azure.com/",
	}
	return []cloud{public}, nil
}
