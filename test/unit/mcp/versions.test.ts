import { describe, expect, it } from 'vitest'
import {
  negotiateVersion,
  olderVersion,
  SESSION_BASED_VERSIONS,
} from '../../../src/mcp/versions.js'

describe('negotiateVersion', () => {
  it.each(SESSION_BASED_VERSIONS)('[mcp-lifecycle-version] answers %s with itself', (version) => {
    expect(negotiateVersion(version)).toBe(version)
  })

  it.each(['2024-11-05', '2026-07-28', '9999-01-01', '', undefined, 1, null])(
    '[mcp-lifecycle-version] answers %s with the newest that it speaks',
    (version) => {
      expect(negotiateVersion(version)).toBe('2025-11-25')
    },
  )
})

describe('olderVersion', () => {
  it('returns the older of two', () => {
    expect(olderVersion('2025-11-25', '2025-03-26')).toBe('2025-03-26')
    expect(olderVersion('2025-03-26', '2025-11-25')).toBe('2025-03-26')
  })
})
