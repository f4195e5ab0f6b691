import { describe, expect, it } from 'vitest'
import { EXIT, STATUS_OF, worstStatus } from '../../../src/usecases/exit-codes.js'

describe('the exit statuses', () => {
  it('are those that were promised', () => {
    expect(EXIT).toEqual({
      ok: 0,
      failed: 1,
      usage: 2,
      signInNeeded: 3,
      unreachable: 4,
      toolFailed: 5,
      protocolInvalid: 6,
      interrupted: 130,
    })
    expect(STATUS_OF).toMatchObject({
      CONFIG_INVALID: 2,
      USAGE: 2,
      DISCOVERY_INVALID: 2,
      SIGN_IN_REQUIRED: 3,
      ISSUER_UNREACHABLE: 4,
      TARGET_UNREACHABLE: 4,
      TOOL_FAILED: 5,
      PROTOCOL_INVALID: 6,
      CHECK_FAILED: 1,
      INTERNAL: 1,
      INTERRUPTED: 130,
    })
  })

  it.each([
    [[], 0],
    [[0, 0], 0],
    [[1, 5, 0], 5],
    [[5, 6], 6],
    [[6, 3], 3],
    [[3, 4], 4],
    [[4, 2, 1], 2],
    [[99, 0], 99],
  ])('of %j make %i', (statuses, expected) => {
    expect(worstStatus(statuses)).toBe(expected)
  })
})
