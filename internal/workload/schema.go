package workload

import (
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// What a radixconfig.yaml looks like, as far as identities are concerned. Fields
// that say nothing about them are listed, too, so that only fields that Radix does
// not know cause warnings, and so that a warning says where Radix reads another text
// than the file seems to have. A reference test compares the names with
// the schema. Source: equinor/radix-operator 1.126, json-schema/radixapplication.json.

// passed are known fields that are ignored here.
type passed struct{}

// UnmarshalYAMLFile takes any value.
func (*passed) UnmarshalYAMLFile(yamlfile.Value) {}

type applicationFile struct {
	APIVersion string       `yaml:"apiVersion"`
	Kind       string       `yaml:"kind"`
	Metadata   metadataFile `yaml:"metadata"`
	Spec       specFile     `yaml:"spec"`
}

type metadataFile struct {
	Name    string `yaml:"name"`
	Ignored passed `names:"namespace labels annotations"`
}

type specFile struct {
	Environments []environmentFile `yaml:"environments"`
	Components   []componentFile   `yaml:"components"`
	Jobs         []jobFile         `yaml:"jobs"`
	Build        buildFile         `yaml:"build"`
	Ignored      passed            `names:"dnsAlias dnsAppAlias dnsExternalAlias privateImageHubs"`
}

type environmentFile struct {
	Name        string           `yaml:"name"`
	SubPipeline *subPipelineFile `yaml:"subPipeline"`
	Ignored     passed           `names:"build egress"`
}

type buildFile struct {
	SubPipeline *subPipelineFile  `yaml:"subPipeline"`
	Variables   map[string]string `yaml:"variables"`
	Ignored     passed            `names:"secrets useBuildCache"`
}

type subPipelineFile struct {
	Identity  *identityFile     `yaml:"identity"`
	Variables map[string]string `yaml:"variables"`
}

type componentFile struct {
	named             `yaml:",inline"`
	settings          `yaml:",inline"`
	componentSettings `yaml:",inline"`
	EnvironmentConfig []componentEnvironmentFile `yaml:"environmentConfig"`
	Public            passed                     `yaml:"public"`
	PublicPort        string                     `yaml:"publicPort"`
}

type componentEnvironmentFile struct {
	Environment       string `yaml:"environment"`
	settings          `yaml:",inline"`
	componentSettings `yaml:",inline"`
}

type jobFile struct {
	named             `yaml:",inline"`
	settings          `yaml:",inline"`
	jobSettings       `yaml:",inline"`
	EnvironmentConfig []jobEnvironmentFile `yaml:"environmentConfig"`
	Ignored           passed               `names:"payload schedulerPort"`
}

type jobEnvironmentFile struct {
	Environment string `yaml:"environment"`
	settings    `yaml:",inline"`
	jobSettings `yaml:",inline"`
}

// named is what components and jobs have once, not per environment.
type named struct {
	Name             string     `yaml:"name"`
	Ports            []portFile `yaml:"ports"`
	MonitoringConfig passed     `yaml:"monitoringConfig"`
	Secrets          []string   `yaml:"secrets"`
}

type portFile struct {
	Name string `yaml:"name"`
	Port passed `yaml:"port"`
}

type resourcesFile struct {
	Limits   map[string]string `yaml:"limits"`
	Requests map[string]string `yaml:"requests"`
}

// settings may be given for a component or job and again per environment.
type settings struct {
	Enabled        *bool             `yaml:"enabled"`
	Identity       *identityFile     `yaml:"identity"`
	SecretRefs     secretRefsFile    `yaml:"secretRefs"`
	VolumeMounts   []volumeMountFile `yaml:"volumeMounts"`
	Args           []string          `yaml:"args"`
	Command        []string          `yaml:"command"`
	DockerfileName string            `yaml:"dockerfileName"`
	Image          string            `yaml:"image"`
	ImageTagName   string            `yaml:"imageTagName"`
	Resources      resourcesFile     `yaml:"resources"`
	Src            string            `yaml:"src"`
	Variables      map[string]string `yaml:"variables"`
	Ignored        passed            `names:"monitoring node readOnlyFileSystem runAsUser runtime"`
}

type componentSettings struct {
	Authentication    authenticationFile `yaml:"authentication"`
	HorizontalScaling scalingFile        `yaml:"horizontalScaling"`
	Ignored           passed             `names:"alwaysPullImageOnDeploy healthChecks replicas"`
}

type jobSettings struct {
	Ignored passed `names:"backoffLimit batchStatusRules cron failurePolicy notifications safeToRestart timeLimitSeconds"`
}

type authenticationFile struct {
	OAuth2 oauth2File `yaml:"oauth2"`
}

type oauth2File struct {
	ClientID    string          `yaml:"clientId"`
	Credentials credentialsFile `yaml:"credentials"`
	Ignored     passed          `names:"cookie cookieStore loginUrl oidc proxyPrefix redeemUrl redisStore scope sessionStoreType setAuthorizationHeader setXAuthRequestHeaders skipAuthRoutes"`
}

type secretRefsFile struct {
	AzureKeyVaults []keyVaultFile `yaml:"azureKeyVaults"`
}

type keyVaultFile struct {
	Name             string             `yaml:"name"`
	Items            []keyVaultItemFile `yaml:"items"`
	Path             string             `yaml:"path"`
	UseAzureIdentity *bool              `yaml:"useAzureIdentity"`
}

type keyVaultItemFile struct {
	Name     string `yaml:"name"`
	EnvVar   string `yaml:"envVar"`
	Type     string `yaml:"type"`
	Alias    string `yaml:"alias"`
	Version  string `yaml:"version"`
	Format   string `yaml:"format"`
	Encoding string `yaml:"encoding"`
	Ignored  passed `names:"k8sSecretType"`
}

type volumeMountFile struct {
	Name      string         `yaml:"name"`
	BlobFuse2 *blobFuse2File `yaml:"blobFuse2"`
	Ignored   passed         `names:"accessMode container emptyDir gid path requestsStorage storage type uid"`
}

type blobFuse2File struct {
	UseAzureIdentity *bool  `yaml:"useAzureIdentity"`
	SubscriptionID   string `yaml:"subscriptionId"`
	ResourceGroup    string `yaml:"resourceGroup"`
	StorageAccount   string `yaml:"storageAccount"`
	Ignored          passed `names:"accessMode attributeCache blockCache cacheMode container fileCache gid protocol requestsStorage streaming tenantId uid useAdls"`
}

type scalingFile struct {
	Triggers  []triggerFile `yaml:"triggers"`
	Resources *yaml.Node    `yaml:"resources"`
	Ignored   passed        `names:"cooldownPeriod maxReplicas minReplicas pollingInterval"`
}

type triggerFile struct {
	Name            string              `yaml:"name"`
	AzureServiceBus azureServiceBusFile `yaml:"azureServiceBus"`
	AzureEventHub   azureEventHubFile   `yaml:"azureEventHub"`
	Ignored         passed              `names:"cpu cron memory"`
}

type triggerAuthenticationFile struct {
	Identity *identityFile `yaml:"identity"`
}

type azureServiceBusFile struct {
	Authentication triggerAuthenticationFile `yaml:"authentication"`
	Ignored        passed                    `names:"activationMessageCount connectionFromEnv messageCount namespace queueName subscriptionName topicName"`
}

type azureEventHubFile struct {
	Authentication triggerAuthenticationFile `yaml:"authentication"`
	Ignored        passed                    `names:"accountName activationUnprocessedEventThreshold checkpointStrategy consumerGroup container eventHubConnectionFromEnv eventHubName eventHubNameFromEnv eventHubNamespace eventHubNamespaceFromEnv storageConnectionFromEnv unprocessedEventThreshold"`
}
