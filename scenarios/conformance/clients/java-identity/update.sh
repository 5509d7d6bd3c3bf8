# Pins in the pom.xml of the working directory the newest releases that can be installed:
# some were published without all that they depend on.
set -euo pipefail
ignored='.*-.*' # alpha, beta
newest() { mvn -q -B versions:use-latest-releases -DprocessDependencyManagement=false "-Dmaven.version.ignore=$ignored"; }
for _ in 1 2 3 4 5; do
  newest
  if mvn -q -B dependency:resolve; then
    mvn -q -B versions:commit
    exit 0
  fi
  ignored+=",$(sed -n 's:^ *<version>\([0-9][0-9]*\.[0-9.]*\)</version>:\1:p' pom.xml | head -1)" # the first dependency's
  mvn -q -B versions:revert
done
echo "no newer release can be resolved" >&2
exit 1
