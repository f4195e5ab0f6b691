import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'

/** A certificate authority of a test, and what it signed. */
export interface Certificates {
  /** PEM file of the authority. */
  readonly caFile: string
  readonly ca: string
  readonly key: string
  /** For `localhost`, `127.0.0.1`, `target.test` and `issuer.test`. */
  readonly cert: string
  /** Signed by nobody but itself, for the same names. */
  readonly selfSigned: string
  /** For `elsewhere.example` only. */
  readonly foreign: string
  /** Its time is over. */
  readonly expired: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
const NAMES: x509.JsonGeneralName[] = [
  ...['localhost', 'target.test', 'issuer.test'].map((value) => ({ type: 'dns' as const, value })),
  { type: 'ip', value: '127.0.0.1' },
]

x509.cryptoProvider.set(webcrypto as never)

/** Makes an authority and certificates, for two days. */
export async function createCertificates(): Promise<Certificates> {
  const [authority, own] = await Promise.all([newKeys(), newKeys()])
  const now = Date.now()
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test authority',
    keys: authority,
    ...lasting(now - DAY_MS, now + DAY_MS),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  })
  const sign = async (names: x509.JsonGeneralName[], until: number) => {
    const certificate = await x509.X509CertificateGenerator.create({
      subject: 'CN=localhost',
      issuer: ca.subject,
      publicKey: own.publicKey,
      signingKey: authority.privateKey,
      ...lasting(now - DAY_MS, until),
      extensions: [new x509.SubjectAlternativeNameExtension(names)],
    })
    return certificate.toString('pem')
  }
  const selfSigned = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys: own,
    ...lasting(now - DAY_MS, now + DAY_MS),
    extensions: [new x509.SubjectAlternativeNameExtension(NAMES)],
  })
  const caFile = join(mkdtempSync(join(tmpdir(), 'certificates-')), 'ca.pem')
  writeFileSync(caFile, ca.toString('pem'))
  const key = await webcrypto.subtle.exportKey('pkcs8', own.privateKey)
  return {
    caFile,
    ca: ca.toString('pem'),
    key: x509.PemConverter.encode(key, 'PRIVATE KEY'),
    cert: await sign(NAMES, now + DAY_MS),
    selfSigned: selfSigned.toString('pem'),
    foreign: await sign([{ type: 'dns', value: 'elsewhere.example' }], now + DAY_MS),
    expired: await sign(NAMES, now - 1_000),
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>
}

function lasting(from: number, until: number) {
  return { notBefore: new Date(from), notAfter: new Date(until), signingAlgorithm: ALGORITHM }
}
