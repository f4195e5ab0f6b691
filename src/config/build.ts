import { settingOf } from './checks.js'
import type { Resolution } from './resolve.js'
import type { SettingKey, SettingValues } from './settings.js'
import { isVercel, type Variables, vercelHosts } from './sources.js'
import type { CredentialConfig, ProxyConfig, TargetConfig } from './types.js'

/** Puts checked settings into the form in which the program uses them. */
export function buildConfig(resolution: Resolution, env: Variables): ProxyConfig {
  // Every key has a checked value or its default by now, which is what the table promises.
  const get = <K extends SettingKey>(key: K) => settingOf(resolution, key) as SettingValues[K]
  const optional = <K extends SettingKey>(key: K) => settingOf(resolution, key)
  return {
    descope: {
      configUrl: optional('descope.configUrl'),
      audience: get('descope.audience'),
      requiredScopes: get('descope.requiredScopes'),
      issuers: get('descope.issuers'),
    },
    server: {
      host: get('server.host'),
      port: get('server.port'),
      path: get('server.path'),
      publicUrl: optional('server.publicUrl'),
      allowedOrigins: get('server.allowedOrigins'),
      allowedHosts: get('server.allowedHosts'),
      workers: get('server.workers'),
      metricsPort: optional('server.metricsPort'),
      metricsHost: get('server.metricsHost'),
      insecureNoAuth: get('server.insecureNoAuth'),
      vercel: isVercel(env) ? { hosts: vercelHosts(env) } : undefined,
    },
    session: {
      secret: optional('session.secret'),
      previousSecrets: get('session.previousSecrets'),
    },
    targets: resolution.targets.map((name) => buildTarget(name, resolution)),
    limits: {
      bodyBytes: get('limits.bodyBytes'),
      bufferedBytes: get('limits.bufferedBytes'),
      children: get('limits.children'),
      calls: get('limits.calls'),
      callsPerCaller: get('limits.callsPerCaller'),
      streams: get('limits.streams'),
      streamsPerCaller: get('limits.streamsPerCaller'),
      requestsPerMinute: get('limits.requestsPerMinute'),
    },
    timeouts: {
      headers: get('timeouts.headers'),
      body: get('timeouts.body'),
      heartbeat: get('timeouts.heartbeat'),
      list: get('timeouts.list'),
      answer: get('timeouts.answer'),
      request: optional('timeouts.request'),
      start: get('timeouts.start'),
      idle: get('timeouts.idle'),
      drain: get('timeouts.drain'),
    },
    names: { maxLength: get('names.maxLength') },
    log: { level: get('log.level'), format: get('log.format') },
  }
}

type TargetKey = SettingKey & `targets.*.${string}`

function buildTarget(name: string, resolution: Resolution): TargetConfig {
  const optional = <K extends TargetKey>(key: K) =>
    resolution.values.get(key.replace('*', name))?.value as SettingValues[K] | undefined
  const get = <K extends TargetKey>(key: K) => optional(key) as SettingValues[K]
  return {
    name,
    url: optional('targets.*.url'),
    transport: get('targets.*.transport'),
    program: buildProgram(get, optional),
    prefix: get('targets.*.prefix'),
    credential: buildCredential(get, optional),
    tools: {
      allow: get('targets.*.tools.allow'),
      deny: get('targets.*.tools.deny'),
      scopes: get('targets.*.tools.scopes'),
      roles: get('targets.*.tools.roles'),
      tenants: get('targets.*.tools.tenants'),
      whenScopeMissing: get('targets.*.tools.whenScopeMissing'),
    },
    methods: get('targets.*.methods'),
  }
}

type Get = <K extends TargetKey>(key: K) => SettingValues[K]

type Optional = <K extends TargetKey>(key: K) => SettingValues[K] | undefined

function buildProgram(get: Get, optional: Optional): TargetConfig['program'] {
  const command = optional('targets.*.command')
  if (command === undefined) return undefined
  const [program = '', ...args] = [command].flat()
  return {
    command: [program, ...args, ...get('targets.*.args')],
    env: get('targets.*.env'),
    cwd: optional('targets.*.cwd'),
    maxChildren: get('targets.*.maxChildren'),
    maxRequests: get('targets.*.maxRequests'),
  }
}

function buildCredential(get: Get, optional: Optional): CredentialConfig {
  const client = () => ({
    clientId: get('targets.*.credential.clientId'),
    clientSecret: get('targets.*.credential.clientSecret'),
    scope: optional('targets.*.credential.scope'),
  })
  const type = get('targets.*.credential.type')
  switch (type) {
    case 'none':
      return { type }
    case 'bearer':
      return { type, token: get('targets.*.credential.token') }
    case 'header':
      return {
        type,
        name: get('targets.*.credential.name'),
        value: get('targets.*.credential.value'),
      }
    case 'client-credentials':
      return { type, tokenUrl: optional('targets.*.credential.tokenUrl'), ...client() }
    case 'token-exchange':
      return {
        type,
        ...client(),
        resource: optional('targets.*.credential.resource'),
        audience: optional('targets.*.credential.audience'),
      }
    case 'connection':
      return {
        type,
        app: get('targets.*.credential.app'),
        by: get('targets.*.credential.by'),
        managementKey: optional('targets.*.credential.managementKey'),
      }
  }
}
