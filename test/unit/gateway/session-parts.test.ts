import { expect, it } from 'vitest'
import { createSessions, type Session } from '../../../src/gateway/sessions/sealed-sessions.js'
import { createManualClock } from '../../helpers/runtime.js'

const options = {
  secrets: ['a secret that all replicas share, long'],
  clock: createManualClock(),
  resource: () => 'https://mcp.example.com/mcp',
}

it('a session carries what its targets declare not, and their cookies, to any replica', () => {
  const session: Session = {
    ...{ key: 'k', version: '2025-11-25', initialize: {} },
    targets: new Map([
      ['a', { id: 's-1', version: '2025-11-25', lacks: ['prompts'], cookies: [['lb=1', 5]] }],
      ['b', { id: undefined, version: '2025-06-18' }],
    ]),
  }
  const sealed = createSessions(options).seal(session, undefined) ?? ''
  expect(sealed).not.toContain('lb=1')
  expect(createSessions(options).open(sealed, undefined)).toEqual(session)
})
