import { ProxyError } from '../util/errors.js'

const SHOW_HINT =
  'Run `mcp-descope-proxy config show` to see every setting and where it comes from.'

/** Every problem of a configuration at once, each as `what is wrong (origin) — what to write`. */
export class ConfigError extends ProxyError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[], hint: string = SHOW_HINT) {
    super('CONFIG_INVALID', summarize(problems), { hint })
    this.problems = problems
  }
}

function summarize(problems: readonly string[]): string {
  if (problems.length === 1) return String(problems[0])
  return [`The configuration has ${problems.length} problems:`, ...problems].join('\n  ')
}
