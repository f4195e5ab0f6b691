import type { LoadedConfig } from '../../config/load.js'
import { createPublicValue } from '../../config/public-value.js'
import { isLoopback } from '../../util/private-addresses.js'
import { createRedactor } from '../../util/redact.js'
import type { Clock } from '../../util/runtime.js'
import type { FinishedCall } from '../request-log.js'
import { type Console, createConsole } from './console.js'
import type { ShownSetting } from './page.js'
import { createRecentCalls, describeCall, failureIn, type Told } from './recent-calls.js'

/** What the process that has the metrics port keeps for the page. */
export interface ConsoleParts {
  /** Keeps a request of this process. */
  note(call: FinishedCall): void
  /** Keeps requests of a worker. */
  take(told: Told): void
  /** Shows the settings of another configuration from now on. */
  renew(next: LoadedConfig): void
  /** @param metrics Those of all processes. */
  create(metrics: () => Promise<string>): Console
}

type Served = Pick<LoadedConfig['config'], 'server' | 'console'>

/** Tells whether there is a page: on the metrics port, and beyond loopback only with a token. */
export function hasConsole({ server, console }: Served): boolean {
  if (server.metricsPort === undefined) return false
  return console.token !== undefined || isLoopback(server.metricsHost)
}

/** Says why there is no page, where there are metrics. */
export function whyNoConsole({ server, console }: Served): string | undefined {
  if (server.metricsPort === undefined || hasConsole({ server, console })) return undefined
  return `There is no console: server.metricsHost is ${server.metricsHost}, beyond loopback, and console.token is not set`
}

/** Prepares the page for operators; `undefined` where there is none. */
export function openConsole(loaded: LoadedConfig, clock: Clock): ConsoleParts | undefined {
  if (!hasConsole(loaded.config)) return undefined
  const recent = createRecentCalls()
  const { token } = loaded.config.console
  let shown = shownOf(loaded)
  return {
    note: (call) => recent.add(describeCall(call), failureIn(call)),
    take({ calls, failures }) {
      for (const call of calls) recent.add(call)
      for (const failure of failures) recent.fail(failure)
    },
    renew(next) {
      shown = shownOf(next)
    },
    create: (metrics) =>
      createConsole({
        ...{ clock, metrics, recent, token },
        get settings() {
          return shown.settings
        },
        get redact() {
          return shown.redact
        },
      }),
  }
}

function shownOf(loaded: LoadedConfig) {
  const redact = createRedactor(loaded.secrets, { wholeUrls: true })
  return { settings: settingsOf(loaded), redact }
}

/** The settings that somebody has set, without secrets. */
function settingsOf(loaded: LoadedConfig): ShownSetting[] {
  const publicValue = createPublicValue({ secrets: new Set(loaded.secrets) })
  return [...loaded.origins]
    .filter(([, { from }]) => from !== 'default')
    .map(([key, { value, from, parts }]) => {
      // what a variable holds may be meant for nobody else: its name is shown
      const shown = publicValue(key, parts?.[0]?.written ?? value)
      return { key, from, value: typeof shown === 'string' ? shown : JSON.stringify(shown) }
    })
}
