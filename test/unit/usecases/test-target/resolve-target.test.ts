import { describe, expect, it } from 'vitest'
import { parseBaseline } from '../../../../src/usecases/test-target/resolve-target.js'

describe('parseBaseline', () => {
  it('takes every id, remarks and empty lines', () => {
    const text = 'reach.dns\r\n# all\n\ntools.call:a#2 # why\nbudget.p95'
    expect([...parseBaseline(text, 'f')]).toEqual(['reach.dns', 'tools.call:a#2', 'budget.p95'])
  })
})
