import type { LogFormat, LogLevel } from '../util/logger.js'
import type { CredentialConfig, ToolPolicyConfig } from './target-types.js'
import type { DescopeConfig, EndpointsKind, RuleConfig, TargetTransport } from './types.js'

/** The type of a value of each kind. */
export interface KindTypes {
  text: string
  url: string
  publicUrl: string
  host: string
  port: number
  path: string
  prefix: string
  whole: number
  positive: number
  seconds: number
  boolean: boolean
  texts: readonly string[]
  origins: readonly string[]
  hosts: readonly string[]
  configUrl: string
  issuers: readonly string[]
  dpop: DescopeConfig['dpop']
  globs: readonly string[]
  globMap: Readonly<Record<string, readonly string[]>>
  relations: NonNullable<ToolPolicyConfig['fga']>
  secret: string
  token: string
  headerName: string
  headerValue: string
  sessionSecret: string
  sessionSecrets: readonly string[]
  identityKey: string
  identityKeys: readonly string[]
  identityMethod: 'claims' | 'jwt'
  logLevel: LogLevel
  logFormat: LogFormat
  credentialType: CredentialConfig['type']
  connectionBy: 'user' | 'tenant'
  connectionHeader: string | { readonly name: string; readonly prefix?: string | undefined }
  clientKey: string
  uri: string
  oneOrMore: string | readonly string[]
  whenScopeMissing: ToolPolicyConfig['whenScopeMissing']
  endpoints: EndpointsKind
  transport: TargetTransport
  command: string | readonly string[]
  environment: Readonly<Record<string, string>>
  folder: string
  file: string
  rules: readonly RuleConfig[]
  storeUrl: string
}

export type SettingKind = keyof KindTypes

interface KindFacts {
  /** Completes the sentence "write …". */
  readonly expects: string
  /** How text of a flag or variable is converted; absent: not at all. */
  readonly from?: 'number' | 'boolean' | 'list' | 'keys'
  readonly secret?: true
  /** The parser itself says what is wrong with a value, without repeating it. */
  readonly explains?: true
}

/** Facts about each kind that do not need the parsers. */
export const SETTING_KINDS: Readonly<Record<SettingKind, KindFacts>> = {
  text: { expects: 'a text that is not empty' },
  url: { expects: 'an http(s) URL without user name, password and fragment' },
  publicUrl: { expects: 'an http(s) URL without user name, password, query and fragment' },
  host: { expects: 'a host name or an address without scheme and port, such as 127.0.0.1' },
  port: { expects: 'a whole number from 0 to 65535', from: 'number' },
  path: { expects: 'a path that starts with "/", such as /mcp' },
  prefix: { expects: 'up to 32 of the characters A-Z a-z 0-9 _ -, or "" for no prefix' },
  whole: { expects: 'a whole number, 0 or more', from: 'number' },
  positive: { expects: 'a whole number, 1 or more', from: 'number' },
  seconds: { expects: 'a number of seconds above 0 and up to 86400', from: 'number' },
  boolean: { expects: 'true or false', from: 'boolean' },
  texts: { expects: 'a list of texts', from: 'list' },
  origins: { expects: 'a list of origins, such as https://app.example.com', from: 'list' },
  hosts: { expects: 'a list of host names, each with or without a port', from: 'list' },
  configUrl: {
    explains: true,
    expects:
      'the Discovery URL of the MCP server from the Descope console, such as https://api.descope.com/v1/apps/agentic/<project id>/<MCP server id>/.well-known/openid-configuration',
  },
  issuers: {
    expects: "a list of http(s) URLs, or of ids of projects as Descope's tokens name them (P…)",
    from: 'list',
  },
  dpop: { expects: 'off, accept or require' },
  globs: { expects: 'a list of names or URIs, with * for any characters', from: 'list' },
  globMap: { expects: 'an object such as {"create_*": ["one", "two"]}' },
  relations: {
    expects:
      'an object such as {"delete_*": {"resourceType": "doc", "resource": "{arguments.id}", "relation": "owner"}}; in braces stand arguments.<path>, claims.<name>, tenant, target or tool, with text between any two of them',
  },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
  secret: { expects: 'the secret through ${VARIABLE} or @/path/to/file', secret: true },
  token: {
    expects: 'the token alone, without "Bearer " and without spaces',
    secret: true,
  },
  headerName: { expects: 'the name of an HTTP header, such as X-Api-Key' },
  headerValue: { expects: 'one line of printable characters', secret: true },
  sessionSecret: {
    expects: 'at least 32 bytes, such as the output of `openssl rand -base64 48`',
    secret: true,
  },
  sessionSecrets: {
    expects: 'a list of secrets of at least 32 bytes each',
    from: 'list',
    secret: true,
  },
  identityKey: {
    expects:
      'a private key that signs, PEM or JWK: EC P-256, RSA of 2048 bits or more, or Ed25519, such as the output of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`',
    secret: true,
    explains: true,
  },
  identityKeys: {
    expects: 'a list of keys, each PEM or JWK, private or public',
    from: 'keys',
    secret: true,
    explains: true,
  },
  identityMethod: { expects: 'claims or jwt' },
  logLevel: { expects: 'debug, info, warn, error or silent' },
  logFormat: { expects: 'text or json' },
  credentialType: {
    expects: 'none, bearer, header, client-credentials, token-exchange or connection',
  },
  connectionBy: { expects: 'user or tenant' },
  connectionHeader: {
    expects:
      'the name of an HTTP header, or an object such as {"name": "Authorization", "prefix": "Token"}',
  },
  clientKey: {
    expects:
      'a private key, PEM or JWK: EC P-256 (ES256) or RSA of 2048 bits or more (RS256), such as the output of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`',
    secret: true,
    explains: true,
  },
  uri: {
    expects: 'an absolute URI without fragment, such as https://api.example.com or urn:my-api',
  },
  oneOrMore: { expects: 'a text, or a list of texts' },
  whenScopeMissing: { expects: 'list or hide' },
  endpoints: { expects: 'merged, each or both' },
  transport: { expects: 'auto, http or sse' },
  command: { expects: 'a program, or a list of a program and its arguments; no shell reads it' },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
  environment: { expects: 'an object such as {"API_KEY": "${API_KEY}"}' },
  folder: { expects: 'an absolute path' },
  file: { expects: 'the path of a file' },
  rules: {
    expects:
      'a list of rules such as {"when": "tool.name == \\"transfer\\" && arguments.amount > 1000", "deny": "the reason"}',
  },
  storeUrl: {
    expects:
      'a URL such as redis://valkey.example.com:6379/0, or rediss:// for TLS, with a password as redis://:<password>@host',
    secret: true,
    explains: true,
  },
}
