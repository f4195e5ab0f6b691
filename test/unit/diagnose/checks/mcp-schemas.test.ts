import { describe, expect, it } from 'vitest'
import { schemaProblems } from '../../../../src/diagnose/checks/mcp-schemas.js'

describe('schemaProblems', () => {
  it.each([
    ['tools/list', { tools: [{ inputSchema: { type: 'object' } }] }, 'result.tools[0].name'],
    ['initialize', { protocolVersion: '2025-11-25', capabilities: {} }, 'result.serverInfo'],
    ['resources/list', { resources: [{ name: 'a' }] }, 'result.resources[0].uri'],
    ['prompts/list', { prompts: {} }, 'result.prompts'],
    [
      'server/discover',
      { supportedVersions: ['2026-07-28'], capabilities: {}, ttlMs: 1 },
      'result.cacheScope',
    ],
    ['tools/call', { content: [{ type: 'image', data: 'AA==' }] }, 'result.content[0].mimeType'],
  ])('names the place in %s', (method, result, path) => {
    expect(schemaProblems({ method, result })[0]).toMatch(
      new RegExp(`^${method}: ${path.replace(/[[\].]/g, '\\$&')}: `),
    )
  })

  it('leaves unknown members alone', () => {
    const result = { tools: [{ name: 'a', inputSchema: { type: 'object' }, x: 1 }], y: 2 }
    expect(schemaProblems({ method: 'tools/list', result })).toEqual([])
  })
})
