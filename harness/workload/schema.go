package workload

import (
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// What a radixconfig.yaml looks like, as far as identities are concerned. Fields
// that say nothing about them are listed, too, so that only fields that Radix does
// not know are warned of, and so that is told where Radix reads another text than
// the file seems to have. A reference test compares the names with
// the schema. Source: equinor/radix-operator 1.126, json-schema/radixapplication.json.

// passed is a field that is known and of no interest here.
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
	Name        string `yaml:"name"`
	Namespace   passed `yaml:"namespace"`
	Labels      passed `yaml:"labels"`
	Annotations passed `yaml:"annotations"`
}

type specFile struct {
	Environments     []environmentFile `yaml:"environments"`
	Components       []componentFile   `yaml:"components"`
	Jobs             []jobFile         `yaml:"jobs"`
	Build            buildFile         `yaml:"build"`
	DNSAlias         passed            `yaml:"dnsAlias"`
	DNSAppAlias      passed            `yaml:"dnsAppAlias"`
	DNSExternalAlias passed            `yaml:"dnsExternalAlias"`
	PrivateImageHubs passed            `yaml:"privateImageHubs"`
}

type environmentFile struct {
	Name        string           `yaml:"name"`
	SubPipeline *subPipelineFile `yaml:"subPipeline"`
	Build       passed           `yaml:"build"`
	Egress      passed           `yaml:"egress"`
}

type buildFile struct {
	SubPipeline   *subPipelineFile  `yaml:"subPipeline"`
	Secrets       passed            `yaml:"secrets"`
	UseBuildCache passed            `yaml:"useBuildCache"`
	Variables     map[string]string `yaml:"variables"`
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
	Payload           passed               `yaml:"payload"`
	SchedulerPort     passed               `yaml:"schedulerPort"`
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
	Enabled            *bool             `yaml:"enabled"`
	Identity           *identityFile     `yaml:"identity"`
	SecretRefs         secretRefsFile    `yaml:"secretRefs"`
	VolumeMounts       []volumeMountFile `yaml:"volumeMounts"`
	Args               []string          `yaml:"args"`
	Command            []string          `yaml:"command"`
	DockerfileName     string            `yaml:"dockerfileName"`
	Image              string            `yaml:"image"`
	ImageTagName       string            `yaml:"imageTagName"`
	Monitoring         passed            `yaml:"monitoring"`
	Node               passed            `yaml:"node"`
	ReadOnlyFileSystem passed            `yaml:"readOnlyFileSystem"`
	Resources          resourcesFile     `yaml:"resources"`
	RunAsUser          passed            `yaml:"runAsUser"`
	Runtime            passed            `yaml:"runtime"`
	Src                string            `yaml:"src"`
	Variables          map[string]string `yaml:"variables"`
}

type componentSettings struct {
	Authentication          authenticationFile `yaml:"authentication"`
	HorizontalScaling       scalingFile        `yaml:"horizontalScaling"`
	AlwaysPullImageOnDeploy passed             `yaml:"alwaysPullImageOnDeploy"`
	HealthChecks            passed             `yaml:"healthChecks"`
	Replicas                passed             `yaml:"replicas"`
}

type jobSettings struct {
	BackoffLimit     passed `yaml:"backoffLimit"`
	BatchStatusRules passed `yaml:"batchStatusRules"`
	Cron             passed `yaml:"cron"`
	FailurePolicy    passed `yaml:"failurePolicy"`
	Notifications    passed `yaml:"notifications"`
	SafeToRestart    passed `yaml:"safeToRestart"`
	TimeLimitSeconds passed `yaml:"timeLimitSeconds"`
}

type authenticationFile struct {
	OAuth2 oauth2File `yaml:"oauth2"`
}

type oauth2File struct {
	ClientID               string          `yaml:"clientId"`
	Credentials            credentialsFile `yaml:"credentials"`
	Cookie                 passed          `yaml:"cookie"`
	CookieStore            passed          `yaml:"cookieStore"`
	LoginURL               passed          `yaml:"loginUrl"`
	OIDC                   passed          `yaml:"oidc"`
	ProxyPrefix            passed          `yaml:"proxyPrefix"`
	RedeemURL              passed          `yaml:"redeemUrl"`
	RedisStore             passed          `yaml:"redisStore"`
	Scope                  passed          `yaml:"scope"`
	SessionStoreType       passed          `yaml:"sessionStoreType"`
	SetAuthorizationHeader passed          `yaml:"setAuthorizationHeader"`
	SetXAuthRequestHeaders passed          `yaml:"setXAuthRequestHeaders"`
	SkipAuthRoutes         passed          `yaml:"skipAuthRoutes"`
}

type secretRefsFile struct {
	AzureKeyVaults []keyVaultFile `yaml:"azureKeyVaults"`
}

type keyVaultFile struct {
	Name             string             `yaml:"name"`
	Items            []keyVaultItemFile `yaml:"items"`
	Path             passed             `yaml:"path"`
	UseAzureIdentity *bool              `yaml:"useAzureIdentity"`
}

type keyVaultItemFile struct {
	Name          string `yaml:"name"`
	EnvVar        string `yaml:"envVar"`
	Type          string `yaml:"type"`
	Alias         passed `yaml:"alias"`
	Encoding      passed `yaml:"encoding"`
	Format        passed `yaml:"format"`
	K8sSecretType passed `yaml:"k8sSecretType"`
	Version       passed `yaml:"version"`
}

type volumeMountFile struct {
	Name            string         `yaml:"name"`
	BlobFuse2       *blobFuse2File `yaml:"blobFuse2"`
	AccessMode      passed         `yaml:"accessMode"`
	Container       passed         `yaml:"container"`
	EmptyDir        passed         `yaml:"emptyDir"`
	GID             passed         `yaml:"gid"`
	Path            passed         `yaml:"path"`
	RequestsStorage passed         `yaml:"requestsStorage"`
	Storage         passed         `yaml:"storage"`
	Type            passed         `yaml:"type"`
	UID             passed         `yaml:"uid"`
}

type blobFuse2File struct {
	UseAzureIdentity *bool  `yaml:"useAzureIdentity"`
	SubscriptionID   string `yaml:"subscriptionId"`
	ResourceGroup    string `yaml:"resourceGroup"`
	StorageAccount   string `yaml:"storageAccount"`
	AccessMode       passed `yaml:"accessMode"`
	AttributeCache   passed `yaml:"attributeCache"`
	BlockCache       passed `yaml:"blockCache"`
	CacheMode        passed `yaml:"cacheMode"`
	Container        passed `yaml:"container"`
	FileCache        passed `yaml:"fileCache"`
	GID              passed `yaml:"gid"`
	Protocol         passed `yaml:"protocol"`
	RequestsStorage  passed `yaml:"requestsStorage"`
	Streaming        passed `yaml:"streaming"`
	TenantID         passed `yaml:"tenantId"`
	UID              passed `yaml:"uid"`
	UseAdls          passed `yaml:"useAdls"`
}

type scalingFile struct {
	Triggers        []triggerFile `yaml:"triggers"`
	Resources       *yaml.Node    `yaml:"resources"`
	CooldownPeriod  passed        `yaml:"cooldownPeriod"`
	MaxReplicas     passed        `yaml:"maxReplicas"`
	MinReplicas     passed        `yaml:"minReplicas"`
	PollingInterval passed        `yaml:"pollingInterval"`
}

type triggerFile struct {
	Name            string              `yaml:"name"`
	AzureServiceBus azureServiceBusFile `yaml:"azureServiceBus"`
	AzureEventHub   azureEventHubFile   `yaml:"azureEventHub"`
	CPU             passed              `yaml:"cpu"`
	Cron            passed              `yaml:"cron"`
	Memory          passed              `yaml:"memory"`
}

type triggerAuthenticationFile struct {
	Identity *identityFile `yaml:"identity"`
}

type azureServiceBusFile struct {
	Authentication         triggerAuthenticationFile `yaml:"authentication"`
	ActivationMessageCount passed                    `yaml:"activationMessageCount"`
	ConnectionFromEnv      passed                    `yaml:"connectionFromEnv"`
	MessageCount           passed                    `yaml:"messageCount"`
	Namespace              passed                    `yaml:"namespace"`
	QueueName              passed                    `yaml:"queueName"`
	SubscriptionName       passed                    `yaml:"subscriptionName"`
	TopicName              passed                    `yaml:"topicName"`
}

type azureEventHubFile struct {
	Authentication                      triggerAuthenticationFile `yaml:"authentication"`
	AccountName                         passed                    `yaml:"accountName"`
	ActivationUnprocessedEventThreshold passed                    `yaml:"activationUnprocessedEventThreshold"`
	CheckpointStrategy                  passed                    `yaml:"checkpointStrategy"`
	ConsumerGroup                       passed                    `yaml:"consumerGroup"`
	Container                           passed                    `yaml:"container"`
	EventHubConnectionFromEnv           passed                    `yaml:"eventHubConnectionFromEnv"`
	EventHubName                        passed                    `yaml:"eventHubName"`
	EventHubNameFromEnv                 passed                    `yaml:"eventHubNameFromEnv"`
	EventHubNamespace                   passed                    `yaml:"eventHubNamespace"`
	EventHubNamespaceFromEnv            passed                    `yaml:"eventHubNamespaceFromEnv"`
	StorageConnectionFromEnv            passed                    `yaml:"storageConnectionFromEnv"`
	UnprocessedEventThreshold           passed                    `yaml:"unprocessedEventThreshold"`
}
