// Compares dashboard.json with Grafana's types: the test appends its content, and the compiler refuses unknown keys, missing
// keys and wrong values. Grafana types only the frame of a panel; its options and queries are typed here by its kind.

import type { Dashboard, GraphFieldConfig, Panel, RowPanel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A type as JSON has it: the text of an enumeration is a plain string. */
type Json<T> = T extends string ? `${T}` : T extends object ? { [Key in keyof T]: Json<T[Key]> } : T;

/** A query to Prometheus; Grafana publishes no type of it. */
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: '${datasource}' };
  expr: string;
  legendFormat: string;
  instant: boolean;
  range: boolean;
}

type Of<Kind extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig'> & {
  type: Kind;
  title: string;
  description: string;
  options: Options;
  targets: Query[];
  fieldConfig: { defaults: Omit<NonNullable<Panel['fieldConfig']>['defaults'], 'custom'> & { custom?: Custom }; overrides: [] };
};

type AnyPanel = RowPanel | Of<'stat', StatOptions, never> | Of<'timeseries', TimeSeriesOptions, GraphFieldConfig>;

type Annotations = { list: (NonNullable<NonNullable<Dashboard['annotations']>['list']>[number] & { expr: string; step: string; titleFormat: string })[] };

export const dashboard: Json<Omit<Dashboard, 'panels' | 'annotations'> & { panels: AnyPanel[]; annotations: Annotations }> =
