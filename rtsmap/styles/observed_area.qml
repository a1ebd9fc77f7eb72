<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22.0" styleCategories="Symbology|Fields|MapTips">
  <renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="20,20,20,150"/>
            <Option type="QString" name="line_style" value="solid"/>
            <Option type="QString" name="line_width" value="0.5"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
        <layer class="SimpleLine" enabled="1" locked="0" pass="0">
          <Option type="Map">
            <Option type="QString" name="capstyle" value="round"/>
            <Option type="QString" name="customdash" value="5;2"/>
            <Option type="QString" name="customdash_unit" value="MM"/>
            <Option type="QString" name="joinstyle" value="round"/>
            <Option type="QString" name="line_color" value="90,220,255,255"/>
            <Option type="QString" name="line_style" value="dash"/>
            <Option type="QString" name="line_width" value="0.3"/>
            <Option type="QString" name="line_width_unit" value="MM"/>
            <Option type="QString" name="use_custom_dash" value="0"/>
          </Option>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <aliases>
    <alias field="fid" index="0" name=""/>
    <alias field="scene_id" index="1" name="Scene"/>
    <alias field="acquired" index="2" name="Acquired (UTC)"/>
    <alias field="satellite_id" index="3" name="Satellite"/>
    <alias field="instrument" index="4" name="Instrument"/>
    <alias field="gsd_m" index="5" name="Ground sampling distance (m)"/>
    <alias field="view_angle_deg" index="6" name="View angle (deg)"/>
    <alias field="sun_azimuth_deg" index="7" name="Sun azimuth (deg)"/>
    <alias field="sun_elevation_deg" index="8" name="Sun elevation (deg)"/>
    <alias field="product" index="9" name="Product"/>
    <alias field="observed_km2" index="10" name="Observed area (geodesic, km2)"/>
    <alias field="cloud_fraction" index="11" name="Masked part of the valid pixels (0-1)"/>
    <alias field="n_slumps" index="12" name="Slumps found"/>
    <alias field="model" index="13" name="Model"/>
    <alias field="rtsmap_version" index="14" name="rtsmap version"/>
  </aliases>
  <previewExpression>"scene_id"</previewExpression>
  <mapTip>&lt;b&gt;Observed area&lt;/b&gt;: [% format_number("observed_km2", 1) %] km2, [% "n_slumps" %] slumps&lt;br/&gt;
[% round(100 * "cloud_fraction") %] % masked&lt;br/&gt;
[% coalesce(format_date("acquired", 'yyyy-MM-dd'), 'date not known') %], [% "scene_id" %]</mapTip>
  <layerGeometryType>2</layerGeometryType>
</qgis>
