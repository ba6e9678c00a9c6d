#!/bin/sh
# Fetch one version of Swagger UI with npm and keep only what the api service serves, with its licence.
# Usage: sh tools/vendor_swagger.sh VERSION FOLDER   (what `make vendor-swagger` runs)
set -eu

version=$1
folder=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

(cd "$scratch" && npm pack --silent "swagger-ui-dist@$version" >/dev/null && tar -xzf ./*.tgz)
grep -q '"license": "Apache-2.0"' "$scratch/package/package.json" || {
	echo 'the licence of swagger-ui-dist changed: look before you vendor it' >&2
	exit 1
}

mkdir -p "$folder"
files='LICENSE NOTICE favicon-32x32.png swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css'
for file in $files; do
	cp "$scratch/package/$file" "$folder/$file"
done
echo "$version" >"$folder/VERSION"
# shellcheck disable=SC2086 # a list of plain names
(cd "$folder" && { sha256sum $files 2>/dev/null || shasum -a 256 $files; } >SHA256SUMS)
echo "vendored swagger-ui-dist $version into $folder"
