import { describe, expect, it } from 'vitest'
import { variableName } from '../../../src/config/table.js'

describe('variableName', () => {
  it('puts the words of a key in capitals', () => {
    expect(variableName('server.allowedOrigins')).toBe('MCP_DESCOPE_SERVER_ALLOWED_ORIGINS')
  })
})
