import type { Resolution } from './resolve.js'
import { SETTINGS, type SettingKey, type SettingValues } from './settings.js'
import { isVercel, type Variables, vercelHosts } from './sources.js'
import type { CredentialConfig } from './target-types.js'
import type { ProxyConfig, TargetConfig } from './types.js'

type Section<S extends string> = {
  [K in SettingKey as K extends `${S}.${infer Member}` ? Member : never]: SettingValues[K]
}

/**
 * Reads all settings below a key, by what follows it. Each has a checked value or its default by
 * now, which is what the table promises; only one without a default can be `undefined`.
 */
function sectionOf<S extends string>({ values }: Resolution, section: S, target = ''): Section<S> {
  const start = `${section}.`
  const entries = SETTINGS.filter(({ key }) => key.startsWith(start)).map(({ key }) => {
    return [key.slice(start.length), values.get(key.replace('*', target))?.value]
  })
  return Object.fromEntries(entries)
}

/** Puts checked settings into the form in which the program uses them. */
export function buildConfig(resolution: Resolution, env: Variables): ProxyConfig {
  return {
    descope: sectionOf(resolution, 'descope'),
    server: {
      ...sectionOf(resolution, 'server'),
      vercel: isVercel(env) ? { hosts: vercelHosts(env) } : undefined,
    },
    session: sectionOf(resolution, 'session'),
    identity: sectionOf(resolution, 'identity'),
    console: sectionOf(resolution, 'console'),
    targets: resolution.targets.map((name) => buildTarget(name, resolution)),
    limits: sectionOf(resolution, 'limits'),
    timeouts: sectionOf(resolution, 'timeouts'),
    names: sectionOf(resolution, 'names'),
    log: sectionOf(resolution, 'log'),
    audit: sectionOf(resolution, 'audit'),
  }
}

function buildTarget(name: string, resolution: Resolution): TargetConfig {
  const own = sectionOf(resolution, 'targets.*', name)
  return {
    name,
    url: own.url,
    transport: own.transport,
    program: buildProgram(own),
    prefix: own.prefix,
    credential: buildCredential(sectionOf(resolution, 'targets.*.credential', name)),
    identity: buildIdentity(sectionOf(resolution, 'targets.*.identity', name)),
    access: sectionOf(resolution, 'targets.*.access', name),
    descope: buildOwnDescope(sectionOf(resolution, 'targets.*.descope', name)),
    tools: sectionOf(resolution, 'targets.*.tools', name),
    prompts: sectionOf(resolution, 'targets.*.prompts', name),
    resources: sectionOf(resolution, 'targets.*.resources', name),
    rules: buildRules(own.rules, resolution.values.get(`targets.${name}.rules`)?.from),
    methods: own.methods,
    breaker: sectionOf(resolution, 'targets.*.breaker', name),
  }
}

function buildRules(list: Section<'targets.*'>['rules'], from = ''): TargetConfig['rules'] {
  return list.length === 0 ? undefined : { from, list }
}

function buildOwnDescope({ configUrl }: Section<'targets.*.descope'>): TargetConfig['descope'] {
  return configUrl === undefined ? undefined : { configUrl }
}

function buildProgram(own: Section<'targets.*'>): TargetConfig['program'] {
  const { command, args, env, cwd, maxChildren, maxRequests } = own
  if (command === undefined) return undefined
  const [program = '', ...first] = [command].flat()
  return { command: [program, ...first, ...args], env, cwd, maxChildren, maxRequests }
}

function buildIdentity({
  method,
  claims,
  header,
}: Section<'targets.*.identity'>): TargetConfig['identity'] {
  return method === undefined ? undefined : { method, claims, header }
}

/** Keeps the members that the type takes. */
function buildCredential(own: Section<'targets.*.credential'>): CredentialConfig {
  const { type, clientId, clientSecret, clientKey, scope, tokenUrl } = own
  const client = { clientId, clientSecret, clientKey, scope, tokenUrl }
  switch (type) {
    case 'none':
      return { type }
    case 'bearer':
      return { type, token: own.token }
    case 'header':
      return { type, name: own.name, value: own.value }
    case 'client-credentials':
      return { type, ...client }
    case 'token-exchange': {
      const { resource, audience } = own
      return { type, ...client, resource, ...(audience && { audience: [audience].flat() }) }
    }
    case 'connection': {
      const { app, by, tenant, scopes, header, managementKey } = own
      return { type, app, by, tenant, scopes, header: headerOf(header), managementKey }
    }
  }
}

function headerOf(given: SettingValues['targets.*.credential.header'] | undefined) {
  if (given === undefined) return undefined
  return typeof given === 'string'
    ? { name: given, prefix: '' }
    : { name: given.name, prefix: given.prefix ?? '' }
}
