import { expect, it } from 'vitest'
import { printWarnings } from '../../../src/cli/print-error.js'
import { resolveConfig } from '../../../src/config/load.js'
import { createTestRuntime } from '../../helpers/runtime.js'

it.each(['secret', 'short', 'logs', 'more'])(
  'the warning of the short secret %j is readable, and does not tell it apart from its words',
  (token) => {
    const credential = { type: 'bearer', token } as const
    const targets = { a: { url: 'https://a.example/mcp', credential } }
    const loaded = resolveConfig({ targets }, { for: 'stdio' })
    const runtime = createTestRuntime()
    printWarnings(runtime, loaded)
    expect(runtime.stderr()).toMatch(
      /targets\.a\.credential\.token is too short to be redacted in logs \(.*\) — use a secret of 16 characters or more\n$/,
    )
  },
)
