package workload

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// reference is a folder with Radix's own schema and configurations, which are not
// part of this repository.
func reference(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("WIEMU_REFERENCE")
	switch {
	case dir != "":
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Fatalf("WIEMU_REFERENCE: %q is no directory: %v", dir, err)
		}
	case os.Getenv("WIEMU_REQUIRE") != "":
		t.Fatal("WIEMU_REFERENCE is not set, and WIEMU_REQUIRE demands it")
	default:
		t.Skip("left out: WIEMU_REFERENCE names no folder with Radix's schema and configurations")
	}
	return dir
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	s, err := compiler.Compile(filepath.Join(reference(t), "radixapplication.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// properties walks to a place in the schema: a property by its name, [] for the
// elements of a list.
func properties(t *testing.T, s *jsonschema.Schema, path string) []string {
	t.Helper()
	for _, step := range strings.Fields(path) {
		if step == "[]" {
			s = s.Items2020
		} else {
			s = s.Properties[step]
		}
		if s == nil {
			t.Fatalf("the schema has nothing at %s of %s", step, path)
		}
	}
	return slices.Sorted(maps.Keys(s.Properties))
}

// fields lists the names that a type reads.
func fields(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			names = append(names, fields(f.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		default:
			names = append(names, strings.Fields(f.Tag.Get("names"))...)
		}
	}
	slices.Sort(names)
	return names
}

func TestFieldsAreThoseOfTheSchema(t *testing.T) {
	s := schema(t)
	for _, test := range []struct {
		path string
		of   any
	}{
		{"", applicationFile{}},
		{"spec", specFile{}},
		{"spec environments []", environmentFile{}},
		{"spec environments [] subPipeline", subPipelineFile{}},
		{"spec build", buildFile{}},
		{"spec build subPipeline", subPipelineFile{}},
		{"spec components []", componentFile{}},
		{"spec components [] environmentConfig []", componentEnvironmentFile{}},
		{"spec jobs []", jobFile{}},
		{"spec jobs [] environmentConfig []", jobEnvironmentFile{}},
		{"spec components [] identity azure", azureFile{}},
		{"spec components [] authentication", authenticationFile{}},
		{"spec components [] authentication oauth2", oauth2File{}},
		{"spec components [] secretRefs", secretRefsFile{}},
		{"spec components [] secretRefs azureKeyVaults []", keyVaultFile{}},
		{"spec components [] secretRefs azureKeyVaults [] items []", keyVaultItemFile{}},
		{"spec components [] volumeMounts []", volumeMountFile{}},
		{"spec components [] volumeMounts [] blobFuse2", blobFuse2File{}},
		{"spec components [] horizontalScaling", scalingFile{}},
		{"spec components [] horizontalScaling triggers []", triggerFile{}},
		{"spec components [] horizontalScaling triggers [] azureServiceBus", azureServiceBusFile{}},
		{"spec components [] horizontalScaling triggers [] azureEventHub", azureEventHubFile{}},
		{"spec components [] horizontalScaling triggers [] azureEventHub authentication", triggerAuthenticationFile{}},
	} {
		if diff := cmp.Diff(properties(t, s, test.path), fields(reflect.TypeOf(test.of))); diff != "" {
			t.Errorf("%s (-schema +read):\n%s", test.path, diff)
		}
	}
}

// Every place where the schema has an identity is read.
func TestEveryIdentityOfTheSchemaIsRead(t *testing.T) {
	var places []string
	var walk func(s *jsonschema.Schema, path string)
	walk = func(s *jsonschema.Schema, path string) {
		if s == nil {
			return
		}
		for name, property := range s.Properties {
			if name == "identity" || name == "useAzureIdentity" || name == "credentials" {
				places = append(places, path+"."+name)
				continue
			}
			walk(property, path+"."+name)
		}
		walk(s.Items2020, path+"[]")
	}
	walk(schema(t), "")
	slices.Sort(places)
	part := func(of string, scaled bool) []string {
		all := []string{of + ".identity", of + ".secretRefs.azureKeyVaults[].useAzureIdentity", of + ".volumeMounts[].blobFuse2.useAzureIdentity"}
		if scaled {
			all = append(all, of+".authentication.oauth2.credentials",
				of+".horizontalScaling.triggers[].azureEventHub.authentication.identity",
				of+".horizontalScaling.triggers[].azureServiceBus.authentication.identity")
		}
		return all
	}
	want := slices.Concat(
		[]string{".spec.build.subPipeline.identity", ".spec.environments[].subPipeline.identity"},
		part(".spec.components[]", true), part(".spec.components[].environmentConfig[]", true),
		part(".spec.jobs[]", false), part(".spec.jobs[].environmentConfig[]", false))
	slices.Sort(want)
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("places of identity (-read +schema):\n%s", diff)
	}
}

func TestRadixsOwnFilesAreRead(t *testing.T) {
	s := schema(t)
	files, err := filepath.Glob(filepath.Join(reference(t), "radixconfigs", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations: %v", err)
	}
	workloads := map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(plain(t, data)); err != nil {
			t.Errorf("%s does not fit the schema: %v", file, err)
		}
		config, warnings, err := ParseRadixConfig(filepath.Base(file), data)
		if err != nil || len(warnings) > 0 {
			t.Errorf("%v, warnings %v", err, warnings)
			continue
		}
		for _, w := range config.Workloads() {
			workloads[filepath.Base(file)] = append(workloads[filepath.Base(file)], w.Subject()+" "+w.ClientID)
		}
	}
	want := map[string][]string{
		"my-radix-app.yaml": {
			"system:serviceaccount:my-radix-app-prod:web-sa b96d264b-7053-4465-a4a7-32be5b0fec49",
			"system:serviceaccount:my-radix-app-dev:web-sa b96d264b-7053-4465-a4a7-32be5b0fec49",
		},
		"radix-operator-validation.yaml": {
			"system:serviceaccount:testapp-dev:app-sa 11111111-2222-bbbb-cccc-555555555555",
			"system:serviceaccount:testapp-dev:job-sa 11111111-2222-3333-4444-555555555555",
			"system:serviceaccount:testapp-prod:app-sa 11111111-2222-3333-4444-555555555555",
			"system:serviceaccount:testapp-prod:job-sa 11111111-2222-3333-4444-555555555555",
		},
	}
	if diff := cmp.Diff(want, workloads); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
}

// What the schema refuses about an identity is refused here, and what it accepts
// is accepted.
func TestTheSchemaAndTheReadingAgreeOnIdentities(t *testing.T) {
	s := schema(t)
	for _, test := range []struct {
		identity string
		accepted bool
	}{
		{"{azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}", true},
		{"{azure: {clientId: B96D264B-7053-4465-A4A7-32BE5B0FEC49}}", true},
		{"{}", true},
		{"{azure: {}}", false},
		{"{azure: {clientId: my-app}}", false},
		{"{azure: {clientId: ''}}", false},
		{"{azure: {clientId: 5}}", false},
		{"{azure: b96d264b-7053-4465-a4a7-32be5b0fec49}", false},
		{"[]", false},
	} {
		for _, place := range []string{
			"  components: [{name: web, identity: ID}]",
			"  components: [{name: web, environmentConfig: [{environment: dev, identity: ID}]}]",
			"  jobs: [{name: web, identity: ID}]",
			"  jobs: [{name: web, environmentConfig: [{environment: dev, identity: ID}]}]",
			"  build: {subPipeline: {identity: ID}}",
		} {
			data := []byte("apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: a}\nspec:\n  environments: [{name: dev}]\n" +
				strings.ReplaceAll(place, "ID", test.identity) + "\n")
			bySchema := s.Validate(plain(t, data))
			_, _, here := ParseRadixConfig("radixconfig.yaml", data)
			if (bySchema == nil) != test.accepted || (here == nil) != test.accepted {
				t.Errorf("%s\nschema: %v\nhere: %v", data, bySchema, here)
			}
		}
	}
}

// plain is a YAML file as the schema library takes it.
func plain(t *testing.T, data []byte) any {
	t.Helper()
	top, err := yamlfile.Parse("", data)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if problems := yamlfile.DecodeNode("", top, &value); len(problems) > 0 {
		t.Fatal(problems)
	}
	return withoutNulls(value)
}

// withoutNulls leaves out what is given as null, as an API server does.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(_ string, inner any) bool { return inner == nil })
		for name := range v {
			v[name] = withoutNulls(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return value
}
