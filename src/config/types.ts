import type { LogFormat, LogLevel } from '../util/logger.js'
import type {
  AccessConfig,
  CredentialConfig,
  IdentityConfig,
  ToolPolicyConfig,
} from './target-types.js'

/**
 * What the configuration is read for. For `serve` it must be complete; `stdio` does not read the
 * working directory; `report` reads the same as `serve` and accepts gaps.
 */
export type ConfigUse = 'serve' | 'stdio' | 'report'

/** The effective configuration: every setting resolved, checked and defaulted. */
export interface ProxyConfig {
  descope: DescopeConfig
  server: ServerConfig
  session: { secret: string | undefined; previousSecrets: readonly string[] }
  identity: {
    /** PEM or JWK; `undefined` makes a key for each process. */
    key: string | undefined
    /** Published besides it. */
    previousKeys: readonly string[]
  }
  /** What readers of the operator page have to know. */
  console: { token: string | undefined }
  /** In the order in which they are configured; at least one for `serve`. */
  targets: readonly TargetConfig[]
  limits: {
    /** Largest request body, bytes. */
    bodyBytes: number
    /** Total size of answers held in memory until clients have read them, bytes. */
    bufferedBytes: number
    /** Largest number of processes of all targets. */
    children: number
    /** Concurrent requests in one process of the proxy, of one subject and client; 0 means no limit. */
    calls: number
    callsPerCaller: number
    callsPerClient: number
    /** Open streams other than answers to requests, likewise. */
    streams: number
    streamsPerCaller: number
    streamsPerClient: number
    /** Of one subject and client id together, and of each; 0 means no limit. */
    requestsPerMinute: number
    requestsPerMinutePerCaller: number
    requestsPerMinutePerClient: number
    /** URL of a Valkey or Redis server that counts for all processes; without, each counts alone. */
    store: string | undefined
    storePrefix: string
  }
  /** All in seconds. */
  timeouts: {
    /** A client's request headers. */
    headers: number
    /** A client's request body. */
    body: number
    /** Between two heartbeats on an open event stream. */
    heartbeat: number
    /** A target's answer to `initialize` and to lists, when a list comes from several targets. */
    list: number
    /** A target's answer to anything else; progress starts it again. */
    answer: number
    /** A whole request with its stream, for platforms that cut requests; by default no limit. */
    request: number | undefined
    /** A target's program, until it answers `initialize`. */
    start: number
    /** Until an unused program or HTTP+SSE stream is closed. */
    idle: number
    /** The store of limits. */
    store: number
    /** Running requests at shutdown. */
    drain: number
  }
  names: {
    /** Longest tool or prompt name that clients see; longer ones get an alias. */
    maxLength: number
  }
  log: { level: LogLevel; format: LogFormat }
  audit: AuditConfig
}

/** Where a record of each call is kept; by default nowhere. */
export interface AuditConfig {
  file: string | undefined
  stdout: boolean
  descope: boolean
  /** Also what tools and prompts are called with. */
  arguments: boolean
  /** Key of the hash chain. */
  key: string | undefined
}

export interface DescopeConfig {
  /** `undefined` only with `insecureNoAuth`. */
  configUrl: string | undefined
  /** Accepted besides our own MCP URL. */
  audience: readonly string[]
  /** Every token must carry these. */
  requiredScopes: readonly string[]
  /** Accepted besides the family that `configUrl` stands for. */
  issuers: readonly string[]
  /** For Descope's management API. */
  managementKey?: string | undefined
  /** Whether tokens that are bound to a key are taken, with a proof of it, and whether others are. */
  dpop: 'off' | 'accept' | 'require'
}

export interface ServerConfig {
  host: string
  /** 0 picks a free port. */
  port: number
  path: string
  /** Whether all targets share an endpoint, have one each, or both. */
  endpoints: EndpointsKind
  /** As configured (`SERVER_URL` or Vercel's variables); without, it is made from the bound port. */
  publicUrl: string | undefined
  allowedOrigins: readonly string[]
  allowedHosts: readonly string[]
  workers: number
  /** Port of the `/metrics` listener; `undefined` switches it off. */
  metricsPort: number | undefined
  metricsHost: string
  /** Reload when a file of the configuration changes. */
  watch: boolean
  /** Serve without authentication, on loopback only. */
  insecureNoAuth: boolean
  /** Present when the process runs on Vercel: the host names that the platform made for it. */
  vercel: { hosts: readonly string[] } | undefined
}

export type EndpointsKind = 'merged' | 'each' | 'both'

export type TargetTransport = 'auto' | 'http' | 'sse'

export interface TargetConfig {
  name: string
  /** `undefined` for a program. */
  url: string | undefined
  /** Transport of the URL. */
  transport: TargetTransport
  /** A server on stdio, in place of a URL. */
  program: ProgramConfig | undefined
  /** Without the separator; '' keeps names unchanged. */
  prefix: string
  credential: CredentialConfig
  /** What it is told of its callers; `undefined`: nothing. */
  identity?: IdentityConfig | undefined
  access: AccessConfig
  /** Of its own endpoint. */
  descope?: { configUrl: string } | undefined
  tools: ToolPolicyConfig
  /** Absent: nothing restricts them. */
  prompts?: ToolPolicyConfig | undefined
  resources?: ToolPolicyConfig | undefined
  /** In CEL, about its tools; absent: none. */
  rules?: RulesConfig | undefined
  /** Methods outside MCP to forward, with * for any characters. */
  methods: readonly string[]
  /** When calls fail at once, since it is not reached; absent or without failures: never. */
  breaker?: BreakerConfig | undefined
}

export interface BreakerConfig {
  /** How many one after the other, and how long until the next call is let through; 0 is never. */
  failures: number
  seconds: number
}

export interface RulesConfig {
  /** Where they are configured. */
  from: string
  list: readonly RuleConfig[]
}

export interface RuleConfig {
  /** A CEL expression: to whom and what the rule applies. */
  readonly when: string
  /** What the caller is told. */
  readonly deny: string
}

export interface ProgramConfig {
  /** The program and its arguments, started without a shell. */
  command: readonly [string, ...string[]]
  /** Added to the few variables that every program inherits. */
  env: Readonly<Record<string, string>>
  /** An absolute path. */
  cwd: string | undefined
  /** Largest number of processes. */
  maxChildren: number
  /** Largest number of concurrent requests to one process. */
  maxRequests: number
}

/** A configuration as it is written in a file, or given to `createProxy`. */
export interface ConfigInput {
  descope?: Given<DescopeConfig>
  server?: Given<Omit<ServerConfig, 'vercel'>>
  session?: Given<ProxyConfig['session']>
  identity?: Given<ProxyConfig['identity']>
  console?: Given<ProxyConfig['console']>
  targets?: Readonly<Record<string, TargetInput>>
  limits?: Given<ProxyConfig['limits']>
  timeouts?: Given<ProxyConfig['timeouts']>
  names?: Given<ProxyConfig['names']>
  log?: Given<ProxyConfig['log']>
  audit?: Given<AuditConfig>
}

/** Either `url` or `command` must be there. */
export interface TargetInput {
  url?: string | undefined
  transport?: TargetTransport | undefined
  command?: string | readonly string[] | undefined
  args?: readonly string[] | undefined
  env?: Readonly<Record<string, string>> | undefined
  cwd?: string | undefined
  maxChildren?: number | undefined
  maxRequests?: number | undefined
  prefix?: string | undefined
  /** Optional members may be left out. */
  credential?: Readonly<
    { type: CredentialConfig['type'] } & Record<
      string,
      string | boolean | readonly string[] | { name: string; prefix?: string } | undefined
    >
  >
  identity?: Given<IdentityConfig> | undefined
  access?: AccessConfig | undefined
  descope?: { readonly configUrl?: string | undefined } | undefined
  tools?: Given<ToolPolicyConfig>
  prompts?: Given<ToolPolicyConfig>
  resources?: Given<ToolPolicyConfig>
  rules?: readonly RuleConfig[] | undefined
  methods?: readonly string[] | undefined
  breaker?: Given<BreakerConfig> | undefined
}

type Given<T> = { readonly [K in keyof T]?: T[K] | undefined }
