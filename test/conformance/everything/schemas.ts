import type { JsonObject } from '../../../src/util/json.js'
import vocabulary from './vocabulary.json' with { type: 'json' }

const text = { type: 'string' } as const

/** A JSON Schema of an object whose members are all required. */
export const form = (properties: Record<string, JsonObject>) => ({
  type: 'object' as const,
  properties,
  required: Object.keys(properties),
})

/** A default of each type that a form may have; the values are the suite's. */
export const DEFAULTS = {
  type: 'object',
  properties: {
    name: { ...text, default: 'John Doe' },
    age: { type: 'integer', default: 30 },
    score: { type: 'number', default: 95.5 },
    status: { ...text, enum: ['active', 'inactive', 'pending'], default: 'active' },
    verified: { type: 'boolean', default: true },
  },
}

const PLAIN = ['option1', 'option2', 'option3']
const TITLED = ['value1', 'value2', 'value3'].map((value, at) => ({
  const: value,
  title: `Title ${at + 1}`,
}))

/** Each way to let the user choose; names and values are the suite's. */
export const CHOICES = {
  type: 'object',
  properties: {
    untitledSingle: { ...text, enum: PLAIN },
    titledSingle: { ...text, oneOf: TITLED },
    legacyEnum: { ...text, enum: ['opt1', 'opt2', 'opt3'], enumNames: ['One', 'Two', 'Three'] },
    untitledMulti: { type: 'array', items: { ...text, enum: PLAIN } },
    titledMulti: { type: 'array', items: { anyOf: TITLED } },
  },
}

/** Keywords of JSON Schema 2020-12 that must come through a list unchanged. */
export const VOCABULARY = { ...vocabulary, type: 'object' as const }
