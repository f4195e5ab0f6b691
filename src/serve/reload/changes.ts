import type { LoadedConfig } from '../../config/load.js'
import type { SettingKey } from '../../config/settings.js'
import type { ChangedLists, ListName } from '../../gateway/streams/open-stream.js'

/** Settings that a running server keeps: other values take effect when it is started again. */
export const FIXED_SETTINGS: readonly SettingKey[] = [
  'server.host',
  'server.port',
  'server.workers',
  'server.metricsPort',
  'server.metricsHost',
  'server.insecureNoAuth',
  'console.token',
  'audit.file',
  'audit.stdout',
  'audit.descope',
  'audit.arguments',
  'audit.key',
  'descope.managementKey',
  'limits.store',
  'limits.storePrefix',
]

/** What another configuration changes. */
export interface Changes {
  /** Paths of settings, and of targets that are added or removed. */
  readonly changed: readonly string[]
  /** Paths of settings that cannot change now. */
  readonly kept: readonly string[]
}

/** Compares two configurations, setting by setting. No value is told. */
export function compareConfigs(
  before: Pick<LoadedConfig, 'origins' | 'config'>,
  after: Pick<LoadedConfig, 'origins' | 'config'>,
): Changes {
  const names = ({ config }: Pick<LoadedConfig, 'config'>) => config.targets.map(({ name }) => name)
  const [old, now] = [names(before), names(after)]
  const added = now.filter((name) => !old.includes(name))
  const removed = old.filter((name) => !now.includes(name))
  const whole = [...added, ...removed].map((name) => `targets.${name}.`)
  const keys = [...new Set([...before.origins.keys(), ...after.origins.keys()])]
  const text = ({ origins }: Pick<LoadedConfig, 'origins'>, key: string) =>
    JSON.stringify(origins.get(key)?.value)
  const differing = keys.filter(
    (key) =>
      whole.every((start) => !key.startsWith(start)) && text(before, key) !== text(after, key),
  )
  const isFixed = (key: string) => FIXED_SETTINGS.some((fixed) => fixed === key)
  const both = (list: readonly string[]) => list.filter((name) => old.includes(name)).join()
  const isReordered = both(now) !== old.filter((name) => now.includes(name)).join()
  return {
    changed: [
      ...differing.filter((key) => !isFixed(key)),
      ...added.map((name) => `targets.${name} (added)`),
      ...removed.map((name) => `targets.${name} (removed)`),
      ...(isReordered ? ['targets (order)'] : []),
    ],
    kept: differing.filter(isFixed),
  }
}

/** Returns the next configuration with those settings of the current one that cannot change. */
export function keepFixed(current: LoadedConfig, next: LoadedConfig): LoadedConfig {
  const { host, port, workers, metricsPort, metricsHost, insecureNoAuth } = current.config.server
  const fixed = { host, port, workers, metricsPort, metricsHost, insecureNoAuth }
  const { console, audit } = current.config
  const { managementKey } = current.config.descope
  const { store, storePrefix } = current.config.limits
  const config = {
    ...next.config,
    console,
    audit,
    limits: { ...next.config.limits, store, storePrefix },
    descope: { ...next.config.descope, managementKey },
    server: { ...next.config.server, ...fixed },
  }
  const origins = new Map(next.origins)
  for (const key of FIXED_SETTINGS) {
    const known = current.origins.get(key)
    if (known !== undefined) origins.set(key, known)
  }
  return { ...next, config, origins }
}

const ALL_LISTS: readonly ListName[] = ['tools', 'prompts', 'resources']

/** Settings of a target that do not change what it lists. */
const LISTS_STAY = /^(identity|descope|methods|maxChildren|maxRequests)(\.|$)/

/** Finds which lists of which targets changed settings may change. */
export function changedLists(changed: readonly string[]): ChangedLists {
  const lists = new Map<string, Set<ListName>>()
  const add = (target: string, names: readonly ListName[]) => {
    const known = lists.get(target) ?? new Set()
    for (const name of names) known.add(name)
    lists.set(target, known)
  }
  for (const key of changed) {
    const [, target, rest = ''] = /^targets\.([^. ]+)[. ](.*)$/.exec(key) ?? []
    if (target === undefined || LISTS_STAY.test(rest)) continue
    const section = ALL_LISTS.find((list) => rest.startsWith(`${list}.`))
    add(target, section === undefined ? ALL_LISTS : [section])
  }
  const ofAll: readonly ListName[] = changed.includes('names.maxLength') ? ALL_LISTS : []
  return (target) => [...(lists.get(target) ?? []), ...ofAll]
}
