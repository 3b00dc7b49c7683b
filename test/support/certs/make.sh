#!/bin/sh
# Makes the certificates of the tests anew: two authorities, and what they signed. Valid from 2020 to 2119; for tests only.
# Needs openssl 1.1.1 or newer; run it in this folder. The keys of the authorities are not kept.
set -e
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

request() { # file, subject, algorithm
  if [ "$3" = rsa ]; then set -- "$1" "$2" -newkey rsa:2048; else set -- "$1" "$2" -newkey ec -pkeyopt ec_paramgen_curve:P-256; fi
  file=$1 subject=$2
  shift 2
  openssl req -new "$@" -nodes -subj "$subject" -keyout "$file.key" -out "$work/$file.csr" 2>/dev/null
}

sign() { # file, authority, extensions; `openssl ca` is the command that takes a first day in every version
  : > "$work/index.txt"
  printf '%b' "[ext]\n$3" > "$work/ext.cnf"
  cat > "$work/ca.cnf" <<CONF
[ca]
default_ca = it
[it]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
countryName = optional
organizationName = optional
commonName = supplied
CONF
  if [ "$1" = "$2" ]; then how="-selfsign"; else how="-cert $2.pem"; fi
  # shellcheck disable=SC2086
  openssl ca -batch -notext -config "$work/ca.cnf" $how -keyfile "$2.key" -in "$work/$1.csr" -out "$1.pem" \
    -startdate 20200101000000Z -enddate 21191231235959Z -extfile "$work/ext.cnf" -extensions ext 2>/dev/null
}

authority() { # file, name
  request "$1" "/CN=$2"
  sign "$1" "$1" "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
}

signed() { # file, subject, authority, alternative names ("" for none), usage, algorithm
  request "$1" "$2" "$6"
  names=""
  if [ -n "$4" ]; then names="subjectAltName=$4\n"; fi
  sign "$1" "$3" "basicConstraints=CA:FALSE\nextendedKeyUsage=$5\n$names"
}

authority ca "Sluice Test CA"
authority other-ca "Sluice Other Test CA"
signed localhost "/CN=localhost" ca "DNS:localhost,IP:127.0.0.1,IP:::1" serverAuth
signed localhost-next "/O=Next/CN=localhost" ca "DNS:localhost,IP:127.0.0.1,IP:::1" serverAuth
signed alpha "/CN=alpha.test" ca "DNS:alpha.test" serverAuth
signed alpha-rsa "/O=RSA/CN=alpha.test" ca "DNS:alpha.test" serverAuth rsa
signed beta "/CN=beta" ca "DNS:*.beta.test" serverAuth
signed client "/C=XX/O=Sluice Tests/CN=client" ca "" clientAuth
signed stranger "/CN=stranger" other-ca "" clientAuth
rm -f ca.key other-ca.key
chmod 644 ./*.key
